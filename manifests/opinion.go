package manifests

import (
	"cmp"
	"strings"
)

// Opinion counts the answers to one question about one subject, over all pairs
// that were annotated. Asked = Yes + No + Even + Abstained for questions that
// are answered with yes or no; where two images are compared, Yes is for the
// improved one. Of a scorer's numbers and of lists none of these is counted but
// Abstained.
type Opinion struct {
	Question  string `json:"question"` // "alignment/1"
	Subject   string `json:"subject"`  // "improved", "draft,improved", "both orders"
	Asked     int64  `json:"asked"`
	Yes       int64  `json:"yes"`
	No        int64  `json:"no"`
	Even      int64  `json:"even,omitempty"`
	Abstained int64  `json:"abstained"`
}

// CompareOpinions orders opinions by question and subject.
func CompareOpinions(a, b *Opinion) int {
	return cmp.Or(cmp.Compare(a.Question, b.Question), cmp.Compare(a.Subject, b.Subject))
}

// PositionBias says how often the judge preferred the image that it was shown
// first, of the answers that preferred one. Each pair is shown in both orders,
// so that a judge without a habit comes to a half, whatever the images are.
func PositionBias(opinions []Opinion) (first, decided int64) {
	for _, o := range opinions {
		if !strings.HasPrefix(o.Question, "preference/") {
			continue
		}
		switch o.Subject {
		case "draft,improved":
			first += o.No
		case "improved,draft":
			first += o.Yes
		default:
			continue
		}
		decided += o.Yes + o.No
	}
	return first, decided
}
