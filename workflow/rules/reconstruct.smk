"""EMC over orientation shards, and the reference volume of known angles."""


rule reconstruct:
    input:
        frames=frames_before("reconstruct"),
        crystal=lambda wildcards: crystal_of(wildcards.dataset),
        background=background_shape,
    output:
        volume=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/volume.h5",
        orientations=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/orientations.h5",
        iterations=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/iterations.csv",
        metrics=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/metrics.json",
        trace=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/trace.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/reconstruct/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/reconstruct/{{point}}.tsv"
    retries: 1
    conda:
        "../../envs/mpi.yaml"
    threads: 2
    resources:
        mpi=mpi_of(reconstruct_tasks),
        tasks=reconstruct_tasks,
        cpus_per_task=cpus_of(reconstruct_tasks),
        mem_mb=emc_memory,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        config=section_of("reconstruct"),
        background=lambda wildcards, input: (
            f"--background {input.background}" if input.background else ""
        ),
        # The checkpoint is no output: snakemake would remove it when the job fails, just when it is needed.
        checkpoint=f"{RESULTS}/{{dataset}}/reconstruct/{{point}}/checkpoint.h5",
        launch=launch,
        ranks=promised_ranks,
    shell:
        "{params.launch} fewphoton reconstruct --frames {input.frames} --crystal {input.crystal} "
        "{params.background} "
        "--volume {output.volume} --orientations {output.orientations} --iterations {output.iterations} "
        "--metrics {output.metrics} --checkpoint {params.checkpoint} --trace {output.trace} "
        "--threads {resources.cpus_per_task} "
        "{params.ranks} --config-json {params.config:q} 2> {log}"


rule assemble_shuffled:
    input:
        frames=lambda wildcards: frames_after(
            CHAIN[-1],
            wildcards.dataset,
            SHUFFLED_FRAMES[wildcards.point],
        ),
        crystal=lambda wildcards: crystal_of(wildcards.dataset),
    output:
        volume=f"{RESULTS}/{{dataset}}/assemble_shuffled/{{point}}/volume.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/assemble_shuffled/{{point}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/assemble_shuffled/{{point}}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=emc_memory,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=shuffled_section,
    shell:
        "fewphoton assemble --frames {input.frames} --crystal {input.crystal} --volume {output.volume} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


rule assemble:
    input:
        frames=f"{RESULTS}/{{dataset}}/reference/frames.h5",
        crystal=lambda wildcards: crystal_of(wildcards.dataset),
    output:
        volume=f"{RESULTS}/{{dataset}}/assemble/volume.h5",
    log:
        f"{RESULTS}/{{dataset}}/logs/assemble.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/assemble.tsv"
    wildcard_constraints:
        dataset=only(REFERENCED),
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=emc_memory,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=assemble_section,
    shell:
        "fewphoton assemble --frames {input.frames} --crystal {input.crystal} --volume {output.volume} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"
