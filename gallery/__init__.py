"""Figures and tables of the paper, one script each; `filippov gallery` lists and runs them."""
