"""The mathematics: processes, schedules, losses and samplers. Tensors in, tensors out.

Everything that a config is checked against imports no torch: a process is a few NumPy tables or
formulas, a grid of times is a NumPy array on the host, and the coefficients of a sampler are
Python floats. So no step of a sampler waits for the device to hand a number back.
"""
