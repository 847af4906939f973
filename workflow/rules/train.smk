rule train:
    input:
        images=lambda w: RUN.images(CONFIG.trainings[w.training].dataset),
    output:
        weights=RUN.weights("{training}"),
        record=RUN.record("train", "{training}"),
    log:
        RUN.log("train", "{training}"),
    priority: NEXT
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CONFIG.trainings))
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("train", w.training),
        # Snakemake reruns nothing when parameters that are functions of `resources` change.
        processes=lambda w, resources: max(1, gpus(resources)),
        minutes=lambda w, resources: minutes(resources),
    shell:
        command(
            "train $BENCHMARK_CONFIG {wildcards.training} --threads {threads} "
            "--processes {params.processes} {params.minutes}"
        )
