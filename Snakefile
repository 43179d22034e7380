include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        [f"{RESULTS}/metrics.csv"] if RECONSTRUCTED + ROTATED else [],
        [f"{RESULTS}/published.csv"] if RUN.published else [],
        separation_results(),
        ankylography_results(),
        all_figures(),
