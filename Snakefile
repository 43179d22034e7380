include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        [f"{RESULTS}/metrics.csv"] if RECONSTRUCTED + ROTATED else [],
        separation_results(),
        all_figures(),
