rule train:
    input:
        config=ancient(RUN.config),
        images=lambda w: RUN.images(CONFIG.trainings[w.training].dataset),
        code=code(
            "train.py", "state.py", "images.py", "seeds.py", "models/*.py", "diffusion/*.py"
        ),
    output:
        weights=RUN.weights("{training}"),
        record=RUN.record("train", "{training}"),
    params:
        spec=lambda w: canonical_json(CONFIG.train_spec(w.training)),
    threads: share_of_cores(len(CONFIG.trainings))
    resources:
        gpu=GPU,
    log:
        RUN.log("train", "{training}"),
    shell:
        BENCHMARK + " train {input.config} {wildcards.training} --threads {threads} " + LOG
