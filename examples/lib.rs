//! Nothing but a home for the programs beside it: each example is a program of its own, and uses only what a host can use.
