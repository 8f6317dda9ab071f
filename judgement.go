package irgdata

// Judgement is what the judge, or a scorer, said of a trajectory when it was
// asked one question. Filters read it; they ask nobody.
type Judgement struct {
	// Question is the question's name and version, "alignment/1".
	Question string
	// Subject is what it was asked about: a slot, "improved", or the images in
	// the order in which they were shown, "draft,improved".
	Subject string
	// About is the claim that was put to the judge, or the name of the number
	// that a scorer gave; empty for other questions.
	About string
	// Value is the probability of "yes" (of "the improved image is the better
	// one" where two are compared) from 0 to 1, or a scorer's number. It means
	// nothing where the judge abstained.
	Value float64
	// Abstained says why there is no value: the judge could not tell, its answer
	// could not be read, its call failed. An abstention is not a no.
	Abstained string
	// Call is the key of the call, which the ledger holds unless no answer came.
	Call Digest
}
