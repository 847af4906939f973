rule controls:
    input:
        images=RUN.images("{dataset}"),
        manifest=RUN.manifest("{dataset}"),
    output:
        images=RUN.samples(f"{ALL_CONTROLS}-{{dataset}}"),
        record=RUN.record("controls", f"{ALL_CONTROLS}-{{dataset}}"),
    log:
        RUN.log("controls", "{dataset}"),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("controls", w.dataset),
    shell:
        command("controls $BENCHMARK_CONFIG {wildcards.dataset}")


rule features:
    input:
        images=lambda w: images_of(w.name),
    output:
        features=RUN.features(EXTRACTOR, "{name}"),
        record=RUN.record("features", "{name}"),
    log:
        RUN.log("features", "{name}"),
    wildcard_constraints:
        name=one_of(EMBEDDED_WHOLE),
    conda:
        ENVIRONMENT
    threads: lambda w: (share_of_cores(len(CELLS)) if w.name in CELLS else all_cores)(w)
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("features", w.name),
    shell:
        command("features $BENCHMARK_CONFIG {wildcards.name} --threads {threads}")


rule evaluate:
    input:
        features=lambda w: features_of(CONFIG.cell(w.cell).dataset, w.cell),
        manifest=lambda w: RUN.manifest(CONFIG.cell(w.cell).dataset),
    output:
        RUN.record("metrics", "{cell}"),
    log:
        RUN.log("evaluate", "{cell}"),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("evaluate", w.cell),
    shell:
        command("evaluate $BENCHMARK_CONFIG {wildcards.cell}")


rule evaluate_controls:
    input:
        features=lambda w: features_of(w.dataset, *controls_of(w.dataset)),
        manifest=RUN.manifest("{dataset}"),
    output:
        [RUN.record("metrics", f"{kind}-{{dataset}}") for kind in KINDS],
    log:
        RUN.log("evaluate", f"{ALL_CONTROLS}-{{dataset}}"),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("evaluate", CONFIG.controls_of(w.dataset)),
    shell:
        command(f"evaluate $BENCHMARK_CONFIG {ALL_CONTROLS}-{{wildcards.dataset}}")


rule retrieve:
    input:
        features=lambda w: features_of(CONFIG.cell(w.cell).dataset, w.cell),
        images=lambda w: [RUN.images(CONFIG.cell(w.cell).dataset), RUN.samples(w.cell)],
        manifest=lambda w: RUN.manifest(CONFIG.cell(w.cell).dataset),
    output:
        record=RUN.record("retrieval", "{cell}"),
        panel=report(
            RUN.neighbours("{cell}"),
            category="Neighbours",
            caption="../report/neighbours.rst",
            labels={"images": "{cell}"},
        ),
    log:
        RUN.log("retrieve", "{cell}"),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("retrieve", w.cell),
    shell:
        command("retrieve $BENCHMARK_CONFIG {wildcards.cell}")


rule retrieve_controls:
    input:
        features=lambda w: features_of(w.dataset, *controls_of(w.dataset)),
        images=lambda w: map(images_of, [w.dataset, *controls_of(w.dataset)]),
        manifest=RUN.manifest("{dataset}"),
    output:
        records=[RUN.record("retrieval", f"{kind}-{{dataset}}") for kind in KINDS],
        panels=[
            report(
                RUN.neighbours(f"{kind}-{{dataset}}"),
                category="Neighbours",
                caption="../report/neighbours.rst",
                labels={"images": f"{kind}-{{dataset}}"},
            )
            for kind in KINDS
        ],
    log:
        RUN.log("retrieve", f"{ALL_CONTROLS}-{{dataset}}"),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("retrieve", CONFIG.controls_of(w.dataset)),
    shell:
        command(f"retrieve $BENCHMARK_CONFIG {ALL_CONTROLS}-{{wildcards.dataset}}")


rule answers:
    input:
        features=lambda w: features_of(CONFIG.cell(w.cell).dataset, w.cell),
        images=lambda w: [RUN.images(CONFIG.cell(w.cell).dataset), RUN.samples(w.cell)],
        manifest=lambda w: RUN.manifest(CONFIG.cell(w.cell).dataset),
    output:
        record=RUN.record("answers", "{cell}"),
        given=RUN.given("{cell}"),
        panel=report(
            RUN.answers("{cell}"),
            category="Inverse problems",
            caption="../report/answers.rst",
            labels={"images": "{cell}"},
        ),
    log:
        RUN.log("answers", "{cell}"),
    wildcard_constraints:
        cell=one_of(ASKED),
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("answers", w.cell),
    shell:
        command("answers $BENCHMARK_CONFIG {wildcards.cell}")


rule likelihood:
    input:
        weights=lambda w: weights_of(CONFIG.likelihoods[w.likelihood][0]),
        images=lambda w: RUN.images(CONFIG.likelihoods[w.likelihood][0].dataset),
        manifest=lambda w: RUN.manifest(CONFIG.likelihoods[w.likelihood][0].dataset),
        samples=lambda w: [
            file
            for cell in CONFIG.likelihoods[w.likelihood]
            for file in (RUN.samples(cell.id), RUN.record("sample", cell.id))
        ],
    output:
        RUN.record("likelihood", "{likelihood}"),
    log:
        RUN.log("likelihood", "{likelihood}"),
    wildcard_constraints:
        likelihood=one_of(CONFIG.likelihoods),
    priority: NEXT
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CONFIG.likelihoods))
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("likelihood", w.likelihood),
    shell:
        command(
            "likelihood $BENCHMARK_CONFIG {wildcards.likelihood} --threads {threads}"
        )
