# Images are read by as many processes as the job has threads.
rule prepare:
    output:
        images=RUN.images("{dataset}"),
        manifest=RUN.manifest("{dataset}"),
        record=RUN.record("data", "{dataset}"),
    log:
        RUN.log("prepare", "{dataset}"),
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: all_cores
    params:
        job=lambda w: job("prepare", w.dataset),
    shell:
        command("prepare $BENCHMARK_CONFIG {wildcards.dataset} --threads {threads}")
