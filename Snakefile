# One run, or with a list of papers all of their runs and a page of their figures.
if "papers" in config:

    include: "workflow/papers.smk"

else:

    include: "workflow/Snakefile"

    rule all:
        default_target: True
        input:
            [f"{RESULTS}/metrics.csv"] if RECONSTRUCTED + ROTATED else [],
            [f"{RESULTS}/published.csv"] if RUN.published else [],
            separation_results(),
            ankylography_results(),
            single_particle_results(),
            all_figures(),
