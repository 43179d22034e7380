"""Single particles: frames, poses and Fourier volumes by several methods, densities, scores; patterns of real runs."""


use rule fetch_structure as fetch_particle_structure with:
    output:
        file=f"{RESULTS}/particles/{{particle}}/source/{{name}}",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/fetch/{{name}}.log",
    params:
        config=lambda wildcards: fetch_parameters(
            PARTICLES[wildcards.particle].structure_file
        ),


use rule simulate_particles as simulate_particle_frames with:
    input:
        structure=particle_structure,
    output:
        frames=f"{RESULTS}/particles/{{particle}}/{{frames}}/simulate/frames.h5",
        geometry=f"{RESULTS}/particles/{{particle}}/{{frames}}/simulate/geometry.yaml",
        crystal=f"{RESULTS}/particles/{{particle}}/{{frames}}/simulate/crystal.yaml",
        truth=f"{RESULTS}/particles/{{particle}}/{{frames}}/simulate/truth.h5",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/simulate/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/simulate.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/simulate.tsv"
    wildcard_constraints:
        dataset="(?!)",
    params:
        stage="simulate-particles",
        config=frames_section,


rule reconstruct_particles:
    input:
        # The file holds true orientations; EMC does not look at them.
        frames=rules.simulate_particle_frames.output.frames,
        crystal=rules.simulate_particle_frames.output.crystal,
    output:
        volume=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/reconstruct/volume.h5",
        poses=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/reconstruct/poses.h5",
        iterations=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/reconstruct/iterations.csv",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/reconstruct/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/reconstruct.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/reconstruct.tsv"
    wildcard_constraints:
        method=begins_with("reconstruct"),
    retries: 1
    conda:
        "../../envs/mpi.yaml"
    threads: 2
    resources:
        mpi=mpi_of(particle_tasks),
        tasks=particle_tasks,
        cpus_per_task=cpus_of(particle_tasks),
        mem_mb=emc_memory,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        config=seeded_section("reconstruct"),
        # Checkpoints are no outputs: snakemake would remove them when the job fails, just when they are needed.
        checkpoint=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/reconstruct/checkpoint.h5",
        launch=launch,
        ranks=promised_ranks,
    shell:
        "{params.launch} fewphoton reconstruct --frames {input.frames} --crystal {input.crystal} "
        "--volume {output.volume} --orientations {output.poses} --iterations {output.iterations} "
        "--metrics {output.metrics} --checkpoint {params.checkpoint} --threads {resources.cpus_per_task} "
        "{params.ranks} --config-json {params.config:q} 2> {log}"


rule train_xrai:
    input:
        frames=rules.simulate_particle_frames.output.frames,
        crystal=rules.simulate_particle_frames.output.crystal,
    output:
        volume=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/volume.h5",
        poses=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/poses.h5",
        trace=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/trace.csv",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/metrics.json",
        held_out=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/held_out.txt",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/train_xrai.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/train_xrai.tsv"
    wildcard_constraints:
        method=begins_with("train_xrai"),
    retries: 1
    conda:
        "../../envs/torch.yaml"
    threads: particle_threads
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (6000 + 3 * megabytes(input)) * attempt
        ),
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        config=seeded_section("train_xrai"),
        checkpoint=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/train_xrai/checkpoint.pt",
    shell:
        "fewphoton train-xrai --frames {input.frames} --crystal {input.crystal} --volume {output.volume} "
        "--poses {output.poses} --trace {output.trace} --metrics {output.metrics} --held-out {output.held_out} "
        "--checkpoint {params.checkpoint} --threads {threads} --config-json {params.config:q} 2> {log}"


rule match_patterns:
    input:
        frames=rules.simulate_particle_frames.output.frames,
        crystal=rules.simulate_particle_frames.output.crystal,
    output:
        volume=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/match_patterns/volume.h5",
        poses=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/match_patterns/poses.h5",
        iterations=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/match_patterns/iterations.csv",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/match_patterns/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/match_patterns.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/match_patterns.tsv"
    wildcard_constraints:
        method=begins_with("match_patterns"),
    retries: 1
    conda:
        "../../envs/torch.yaml"
    threads: particle_threads
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (6000 + 3 * megabytes(input)) * attempt
        ),
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        config=seeded_section("match_patterns"),
        checkpoint=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/match_patterns/checkpoint.h5",
    shell:
        "fewphoton match-patterns --frames {input.frames} --crystal {input.crystal} --volume {output.volume} "
        "--poses {output.poses} --iterations {output.iterations} --metrics {output.metrics} "
        "--checkpoint {params.checkpoint} --threads {threads} --config-json {params.config:q} 2> {log}"


rule refine_poses:
    input:
        unpack(first_files),
        frames=rules.simulate_particle_frames.output.frames,
        crystal=rules.simulate_particle_frames.output.crystal,
    output:
        volume=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/refine_poses/volume.h5",
        poses=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/refine_poses/poses.h5",
        rounds=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/refine_poses/rounds.csv",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/refine_poses/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/refine_poses.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/refine_poses.tsv"
    retries: 1
    conda:
        "../../envs/torch.yaml"
    threads: particle_threads
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (6000 + 3 * megabytes(input)) * attempt
        ),
        runtime=lambda wildcards, attempt: 480 * attempt,
    params:
        config=seeded_section("refine_poses"),
        checkpoint=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/refine_poses/checkpoint.h5",
    shell:
        "fewphoton refine-poses --frames {input.frames} --crystal {input.crystal} --start-poses {input.poses} "
        "--start-volume {input.volume} --volume {output.volume} --poses {output.poses} --rounds {output.rounds} "
        "--metrics {output.metrics} --checkpoint {params.checkpoint} --threads {threads} --config-json {params.config:q} "
        "2> {log}"


rule phase:
    input:
        volume=solved_volume,
    output:
        density=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/density.h5",
        map=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/density.ccp4",
        transfer=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/transfer.csv",
        starts=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/starts.csv",
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/phase.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/phase.tsv"
    retries: 1
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        config=phase_section,
        checkpoint=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/phase/checkpoint.h5",
    shell:
        "fewphoton phase --volume {input.volume} --density {output.density} --map {output.map} "
        "--transfer {output.transfer} --starts {output.starts} --metrics {output.metrics} "
        "--checkpoint {params.checkpoint} --threads {threads} --config-json {params.config:q} 2> {log}"


rule score_particles:
    input:
        unpack(solved_files),
        density=rules.phase.output.density,
        frames=rules.simulate_particle_frames.output.frames,
        structure=particle_structure,
    output:
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score/metrics.json",
        curves=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score/curves.csv",
        errors=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score/errors.csv",
        aligned=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score/aligned.ccp4",
        truth=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score/truth.ccp4",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/score.log",
    benchmark:
        f"{RESULTS}/particles/{{particle}}/benchmarks/{{frames}}/{{method}}/{{seed}}/score.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=score_section,
        held_out=lambda wildcards, input: (
            ["--held-out", input.held_out] if "held_out" in input.keys() else []
        ),
    shell:
        "fewphoton score-particles --poses {input.poses} --frames {input.frames} {params.held_out} --volume {input.volume} "
        "--density {input.density} --structure {input.structure} --metrics {output.metrics} "
        "--curves {output.curves} --errors {output.errors} --aligned {output.aligned} --truth {output.truth} "
        "--threads {threads} --config-json {params.config:q} 2> {log}"


rule score_training:
    input:
        poses=rules.train_xrai.output.poses,
        frames=rules.simulate_particle_frames.output.frames,
        held_out=rules.train_xrai.output.held_out,
    output:
        metrics=f"{RESULTS}/particles/{{particle}}/{{frames}}/{{method}}/{{seed}}/score_training/metrics.json",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/{{method}}/{{seed}}/score_training.log",
    wildcard_constraints:
        method=begins_with("train_xrai"),
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=score_section,
    shell:
        "fewphoton score-particles --poses {input.poses} --frames {input.frames} --held-out {input.held_out} "
        "--metrics {output.metrics} --threads {threads} --config-json {params.config:q} 2> {log}"


rule collect_particles:
    input:
        score=particle_scores,
        chosen=chosen_metrics,
        results=particle_results,
    output:
        table=report(
            f"{RESULTS}/particles.csv",
            caption="../report/particles.rst",
            category="0 Summary",
            labels={"table": "single particles"},
        ),
        parquet=parquet_beside("particles"),
    log:
        f"{RESULTS}/logs/collect_particles.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        parquet=parquet_words,
        config=particle_columns,
        chosen=lambda wildcards, input: (
            ["--chosen-metrics", *input.chosen] if input.chosen else []
        ),
    shell:
        "fewphoton collect-metrics --metrics {input.score} {params.chosen} --results {input.results} "
        "--table {output.table} {params.parquet} --config-json {params.config:q} 2> {log}"


rule draw_accuracy_table:
    input:
        scores=rules.collect_particles.output.table,
    output:
        figure=report(
            f"{RESULTS}/particles/{{particle}}/tables/{{merit}}.png",
            caption="../report/particle_accuracy.rst",
            category="6 Single particles",
            labels={"of": "{particle}", "figure": "{merit}"},
        ),
        table=f"{RESULTS}/particles/{{particle}}/tables/{{merit}}.csv",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/tables/{{merit}}.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=accuracy_section,
    shell:
        "fewphoton draw-particles --scores {input.scores} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_densities:
    input:
        truth=truth_map,
        aligned=of_shown("score", "aligned.ccp4"),
    output:
        figure=report(
            f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/densities.png",
            caption="../report/particle_densities.rst",
            category="6 Single particles",
            labels={"of": "{particle}, {frames}", "figure": "densities"},
        ),
        table=f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/densities.csv",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/figures/densities.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=particle_figure("densities"),
    shell:
        "fewphoton draw-particles --maps {input.truth} {input.aligned} --figure {output.figure} "
        "--table {output.table} --config-json {params.config:q} 2> {log}"


rule draw_shell_correlations:
    input:
        curves=of_shown("score", "curves.csv"),
    output:
        figure=report(
            f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/shell_correlations.png",
            caption="../report/particle_shell_correlations.rst",
            category="6 Single particles",
            labels={"of": "{particle}, {frames}", "figure": "shell correlations"},
        ),
        table=f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/shell_correlations.csv",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/figures/shell_correlations.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=particle_figure("shell_correlations"),
    shell:
        "fewphoton draw-particles --curves {input.curves} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule draw_training:
    input:
        traces=of_shown("train_xrai", "trace.csv"),
    output:
        figure=report(
            f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/training.png",
            caption="../report/particle_training.rst",
            category="6 Single particles",
            labels={"of": "{particle}, {frames}", "figure": "training"},
        ),
        table=f"{RESULTS}/particles/{{particle}}/{{frames}}/figures/training.csv",
    log:
        f"{RESULTS}/particles/{{particle}}/logs/{{frames}}/figures/training.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=particle_figure("training"),
    shell:
        "fewphoton draw-particles --traces {input.traces} --figure {output.figure} --table {output.table} "
        "--config-json {params.config:q} 2> {log}"


rule fetch_patterns:
    output:
        file=f"{RESULTS}/patterns/{{patterns}}/source/{{name}}",
    log:
        f"{RESULTS}/patterns/{{patterns}}/logs/fetch/{{name}}.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=fetched_pattern,
    shell:
        "fewphoton fetch --file {output.file} --config-json {params.config:q} 2> {log}"


rule count_pattern_photons:
    input:
        files=located_files("files", "masks"),
        geometry=lambda wildcards: REAL_PATTERNS[wildcards.patterns].geometry,
    output:
        frames=f"{RESULTS}/patterns/{{patterns}}/count_photons/frames.h5",
        metrics=f"{RESULTS}/patterns/{{patterns}}/count_photons/metrics.json",
    log:
        f"{RESULTS}/patterns/{{patterns}}/logs/count_photons.log",
    conda:
        "../../envs/core.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=patterns_section("count_photons"),
        raw=pattern_words("--raw", "files"),
        masks=pattern_words("--masks", "masks"),
    shell:
        "fewphoton count-photons {params.raw:q} {params.masks:q} --geometry {input.geometry} "
        "--frames {output.frames} --metrics {output.metrics} --threads {threads} "
        "--config-json {params.config:q} 2> {log}"


rule select_patterns:
    input:
        frames=rules.count_pattern_photons.output.frames,
        labels=located_files("labels"),
    output:
        patterns=report(
            f"{RESULTS}/patterns/{{patterns}}/select_patterns/patterns.csv",
            caption="../report/patterns.rst",
            category="6 Single particles",
            labels={"of": "{patterns}", "figure": "table of patterns"},
        ),
        kept=f"{RESULTS}/patterns/{{patterns}}/select_patterns/kept.txt",
        selected=f"{RESULTS}/patterns/{{patterns}}/select_patterns/selected.h5",
        metrics=f"{RESULTS}/patterns/{{patterns}}/select_patterns/metrics.json",
    log:
        f"{RESULTS}/patterns/{{patterns}}/logs/select_patterns.log",
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        config=patterns_section("select_patterns"),
        labels=pattern_words("--labels", "labels"),
    shell:
        "fewphoton select-patterns --frames {input.frames} {params.labels:q} --patterns {output.patterns} "
        "--kept {output.kept} --selected {output.selected} --metrics {output.metrics} "
        "--config-json {params.config:q} 2> {log}"


rule draw_patterns:
    input:
        frames=rules.count_pattern_photons.output.frames,
        patterns=rules.select_patterns.output.patterns,
        metrics=rules.select_patterns.output.metrics,
    output:
        figure=report(
            f"{RESULTS}/patterns/{{patterns}}/figures/patterns.png",
            caption="../report/ranked_patterns.rst",
            category="6 Single particles",
            labels={"of": "{patterns}", "figure": "patterns by score"},
        ),
    log:
        f"{RESULTS}/patterns/{{patterns}}/logs/figures/patterns.log",
    localrule: True
    conda:
        "../../envs/core.yaml"
    params:
        config=patterns_section("draw_patterns"),
    shell:
        "fewphoton draw-patterns --frames {input.frames} --patterns {input.patterns} --metrics {input.metrics} "
        "--figure {output.figure} --config-json {params.config:q} 2> {log}"
