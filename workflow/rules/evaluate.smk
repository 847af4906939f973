# A subject is a cell, or held-out-<data set>: real images judged as samples are.
def dataset_of(subject):
    return CONFIG.cell(subject).dataset if subject in CELLS else subject.removeprefix(HELD_OUT)


def images_of(name):
    return RUN.images(name) if name in DATASETS else RUN.samples(name)


def features_of(subject):
    names = {dataset_of(subject), *({subject} & set(CELLS))}
    return [RUN.features(EXTRACTOR, name) for name in sorted(names)]


rule features:
    input:
        config=ancient(RUN.config),
        images=lambda w: images_of(w.name),
        code=code("features.py", "extractors/*.py"),
    output:
        features=RUN.features(EXTRACTOR, "{name}"),
        record=RUN.record("features", "{name}"),
    params:
        extractor=EXTRACTOR,
    threads: share_of_cores(len(CELLS))
    resources:
        gpu=GPU,
    log:
        RUN.log("features", "{name}"),
    shell:
        BENCHMARK + " features {input.config} {wildcards.name} --threads {threads} " + LOG


rule evaluate:
    input:
        config=ancient(RUN.config),
        features=lambda w: features_of(w.subject),
        manifest=lambda w: RUN.manifest(dataset_of(w.subject)),
        code=code("evaluate.py", "metrics/*.py"),
    output:
        RUN.record("metrics", "{subject}"),
    params:
        metrics=canonical_json(CONFIG.evaluation.model_dump(mode="json")["metrics"]),
    log:
        RUN.log("evaluate", "{subject}"),
    shell:
        BENCHMARK + " evaluate {input.config} {wildcards.subject} " + LOG


rule retrieve:
    input:
        config=ancient(RUN.config),
        features=lambda w: features_of(w.subject),
        images=lambda w: sorted({images_of(n) for n in (dataset_of(w.subject), w.subject.removeprefix(HELD_OUT))}),
        manifest=lambda w: RUN.manifest(dataset_of(w.subject)),
        code=code("retrieve.py"),
    output:
        record=RUN.record("retrieval", "{subject}"),
        panel=report(
            RUN.neighbours("{subject}"), category="Neighbours", caption="../report/neighbours.rst"
        ),
    params:
        k=CONFIG.evaluation.neighbours,
        rows=CONFIG.evaluation.panel_rows,
    log:
        RUN.log("retrieve", "{subject}"),
    shell:
        BENCHMARK + " retrieve {input.config} {wildcards.subject} " + LOG
