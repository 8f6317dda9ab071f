"""Serves one IRG or BAGEL checkpoint over HTTP, with the official modelling code."""

PROTOCOL = 1  # docs/worker-protocol.md
