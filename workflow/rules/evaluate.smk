rule features:
    input:
        images=lambda w: images_of(w.name),
        code=code("features.py", "extractors/*.py"),
    output:
        features=RUN.features(EXTRACTOR, "{name}"),
        record=RUN.record("features", "{name}"),
    log:
        RUN.log("features", "{name}"),
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CELLS))
    resources:
        gpu=GPU,
    params:
        extractor=EXTRACTOR,
    shell:
        command("features $BENCHMARK_CONFIG {wildcards.name} --threads {threads}")


rule evaluate:
    input:
        features=lambda w: features_of(w.subject),
        manifest=lambda w: RUN.manifest(CONFIG.dataset_of(w.subject)),
        code=code("evaluate.py", "metrics/*.py"),
    output:
        RUN.record("metrics", "{subject}"),
    log:
        RUN.log("evaluate", "{subject}"),
    conda:
        ENVIRONMENT
    params:
        spec=lambda w: canonical_json(CONFIG.evaluate_spec(w.subject)),
        cell=lambda w: canonical_json(cell_of(w.subject)),
    shell:
        command("evaluate $BENCHMARK_CONFIG {wildcards.subject}")


rule retrieve:
    input:
        features=lambda w: features_of(w.subject),
        images=lambda w: panel_images(w.subject),
        manifest=lambda w: RUN.manifest(CONFIG.dataset_of(w.subject)),
        code=code(
            "retrieve.py",
            "evaluate.py",
            "neighbours.py",
            "pictures.py",
            "metrics/base.py",
        ),
    output:
        record=RUN.record("retrieval", "{subject}"),
        panel=report(
            RUN.neighbours("{subject}"),
            category="Neighbours",
            caption="../report/neighbours.rst",
        ),
    log:
        RUN.log("retrieve", "{subject}"),
    conda:
        ENVIRONMENT
    params:
        k=CONFIG.evaluation.neighbours,
        rows=CONFIG.evaluation.panel_rows,
    shell:
        command("retrieve $BENCHMARK_CONFIG {wildcards.subject}")
