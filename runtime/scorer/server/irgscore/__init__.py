"""Serves scores of ONNX models over HTTP, from weights that the user has."""

PROTOCOL = 1  # docs/score-protocol.md
