rule train:
    input:
        images=lambda w: RUN.images(CONFIG.trainings[w.training].dataset),
    output:
        weights=RUN.weights("{training}"),
        record=RUN.record("train", "{training}"),
    log:
        RUN.log("train", "{training}"),
    wildcard_constraints:
        training=one_of({*CONFIG.trainings} - {*KEPT}),
    priority: NEXT
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CONFIG.trainings) + len(CONFIG.guides))
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


use rule train as train_and_keep with:
    output:
        weights=RUN.weights("{training}"),
        record=RUN.record("train", "{training}"),
        kept=directory(RUN.kept("{training}")),
    wildcard_constraints:
        training=one_of(KEPT),


rule classifier:
    input:
        images=lambda w: RUN.images(CONFIG.classifiers[w.classifier].data),
        manifest=lambda w: RUN.manifest(CONFIG.classifiers[w.classifier].data),
    output:
        weights=RUN.weights("{classifier}"),
        record=RUN.record("classifier", "{classifier}"),
    log:
        RUN.log("classifier", "{classifier}"),
    wildcard_constraints:
        classifier=one_of(CONFIG.guides),
    priority: NEXT
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CONFIG.trainings) + len(CONFIG.guides))
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("classifier", w.classifier),
        minutes=lambda w, resources: minutes(resources),
    shell:
        command(
            "classifier $BENCHMARK_CONFIG {wildcards.classifier} --threads {threads} "
            "{params.minutes}"
        )
