"""`python -m benchmark`: a warm process does the job, or else this one reads the command line."""

from benchmark.runtime import warm

if __name__ == "__main__":
    warm.hand_over()  # before anything is imported that takes time
    from benchmark.cli.app import main

    main()
