"""The linear models of the DirectCLR paper (Jing et al., arXiv 2110.09348), from its equations: two ways in which dimensions die.

Sections, lemmas, theorems and figures that this package names are that paper's.
"""
