// Package loader foretells what the official IRG training code reads of an
// export, and what it passes over without a word. It is a model of the loader
// in SFT/data of Osilly/Interleaving-Reasoning-Generation, written after its
// behaviour and compared with it by export/proof: how it lists files, deals row
// groups to ranks and workers, parses a row, sees an image, counts tokens, and
// which of its exceptions end where.
package loader
