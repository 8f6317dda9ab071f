// Package config reads configuration files: YAML, strictly. Whatever is wrong
// with a file is one sentence that names its line and the key.
package config
