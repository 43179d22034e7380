include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        f"{RESULTS}/metrics.csv",
        all_figures(),
