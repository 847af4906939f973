# Images are read by as many processes as the job has threads.
rule prepare:
    input:
        code=code("prepare.py", "arrays.py", "data/*.py"),
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
        spec=lambda w: canonical_json(CONFIG.data_spec(w.dataset)),
        files=lambda w: stamp_of(getattr(CONFIG.data[w.dataset], "path", None)),
    shell:
        command("prepare $BENCHMARK_CONFIG {wildcards.dataset} --threads {threads}")
