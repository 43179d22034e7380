include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        [f"{RESULTS}/metrics.csv"] if RECONSTRUCTED else [],
        separation_results(),
        rotation_results(),
        all_figures(),
