"""What several metrics read of features, views, tokens and softmaxes: sums, spectra, neighbours, clusters. Pure functions."""
