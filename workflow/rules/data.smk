rule config:
    output:
        RUN.config,
    params:
        resolved=resolved(CONFIG),
    localrule: True
    shell:
        "printf '%s\n' {params.resolved:q} > {output}"


rule prepare:
    input:
        config=ancient(RUN.config),
        code=code("prepare.py", "data/*.py"),
    output:
        images=RUN.images("{dataset}"),
        manifest=RUN.manifest("{dataset}"),
        record=RUN.record("data", "{dataset}"),
    params:
        spec=lambda w: canonical_json(CONFIG.data_spec(w.dataset)),
    log:
        RUN.log("prepare", "{dataset}"),
    shell:
        BENCHMARK + " prepare {input.config} {wildcards.dataset} " + LOG
