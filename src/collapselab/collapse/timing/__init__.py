"""When: onset of a kind, alarms calibrated on healthy runs, their lead over the fall of k-NN, and the detector for streams."""
