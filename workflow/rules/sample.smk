# A timed job has the machine to itself: on a CPU it takes all cores, on a GPU the one GPU.
rule sample:
    input:
        config=ancient(RUN.config),
        weights=lambda w: RUN.weights(CONFIG.cell(w.cell).trained_as),
        code=code("sample.py", "images.py", "seeds.py", "models/*.py", "diffusion/**/*.py"),
    output:
        samples=RUN.samples("{cell}"),
        grid=report(RUN.grid("{cell}"), category="Samples", caption="../report/grid.rst"),
        chain=report(RUN.chain("{cell}"), category="Samples", caption="../report/chain.rst"),
        record=RUN.record("sample", "{cell}"),
    params:
        spec=lambda w: canonical_json(CONFIG.sample_spec(w.cell)),
    threads: workflow.cores or 1
    resources:
        gpu=GPU,
    log:
        RUN.log("sample", "{cell}"),
    shell:
        BENCHMARK + " sample {input.config} {wildcards.cell} --threads {threads} " + LOG
