// Package tokenizer counts the tokens of a text as a checkpoint with Qwen2's
// tokenizer does: byte-level BPE over NFC, with the checkpoint's own
// vocabulary. Its ids are those of Hugging Face's tokenizers library
// (transformers: models/qwen2/tokenization_qwen2.py), except for letters and digits
// that Unicode got after version 15, which Go's tables do not know yet.
package tokenizer
