package modes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

// The topics on which the judge is asked; the configuration names those
// wanted.
const (
	// TopicAlignment: does the image follow the prompt?
	TopicAlignment = "alignment"
	// TopicPreference: which of draft and improved image follows the prompt
	// better? It is asked in both orders of the images.
	TopicPreference = "preference"
	// TopicPreservation: does the improved image keep what is right in the draft?
	TopicPreservation = "preservation"
	// TopicFaithfulness: which defects does the reflection name, and is each in
	// the draft, and mended in the improved image?
	TopicFaithfulness = "faithfulness"
	// TopicInvention: does a text mention things that are neither in the prompt
	// nor in the images?
	TopicInvention = "invention"
)

// Topics lists all topics.
func Topics() []string {
	return []string{TopicAlignment, TopicPreference, TopicPreservation, TopicFaithfulness, TopicInvention}
}

// The questions, as [irgdata.Judgement] names them before the version.
const (
	QuestionAlignment    = "alignment"
	QuestionPreference   = "preference"
	QuestionPreservation = "preservation"
	QuestionClaims       = "claims"
	QuestionDefect       = "defect"
	QuestionInvention    = "invention"
)

// Form is the form of an answer, and says how it is read.
type Form string

// The forms of answers.
const (
	// YesNo is yes or no; its value is the probability of yes.
	YesNo Form = "yes_no"
	// Preference is 1, 2 or equal; its value is the probability that the image
	// shown second is the better one.
	Preference Form = "preference"
	// Claims is a list of sentences; its value is their number.
	Claims Form = "claims"
	// Numbers is a scorer's JSON object of named numbers.
	Numbers Form = "numbers"
)

// Question is a kind of call whose answer says something about a trajectory
// and fills none of its slots.
type Question struct {
	Step
	Topic string
	Form  Form
	// Concerns is the slot that the answer may speak against.
	Concerns irgdata.Slot
	// Quotes is the slot whose text the template quotes; SlotPrompt: none, as
	// every template may show the prompt.
	Quotes irgdata.Slot
	// Each: it is asked once for each claim in the answer to the last question
	// of the form Claims, and quotes the claim.
	Each bool
}

// MaxClaims is the most claims of a reflection that are put to the judge.
const MaxClaims = 6

// Subject names what the question is about: the quoted slot, else the images
// in the order in which they are shown.
func (q Question) Subject() string {
	if q.Quotes != irgdata.SlotPrompt {
		return q.Quotes.String()
	}
	var names []string
	for _, s := range q.shown() {
		names = append(names, s.String())
	}
	return strings.Join(names, ",")
}

// shown are the images, in order.
func (q Question) shown() (slots []irgdata.Slot) {
	for _, seg := range q.Context {
		if seg.Template == "" && seg.Slot.IsImage() {
			slots = append(slots, seg.Slot)
		}
	}
	return slots
}

// Needs returns the slots that must be filled for it to be asked.
func (q Question) Needs() []irgdata.Slot {
	needs := q.Step.Needs()
	if !slices.Contains(needs, q.Quotes) {
		needs = append(needs, q.Quotes)
	}
	return needs
}

// Quoting is the question's call with a text in the places for one.
func (q Question) Quoting(text string) Step {
	step := q.Step
	step.Context = slices.Clone(q.Context)
	for i := range step.Context {
		if step.Context[i].Template != "" {
			step.Context[i].Quote = text
		}
	}
	return step
}

// candidates of the first token are enough for all ways to write yes and no,
// and a number that every server gives.
const candidates = 5

// questions is the table, in the order of asking.
func questions(strategy irgdata.Strategy) []Question {
	const draft, improved = irgdata.SlotDraft, irgdata.SlotImproved
	ask := func(topic, name, template string, form Form, concerns, quotes irgdata.Slot, images ...irgdata.Slot) Question {
		context := segments(tmpl(template))
		for _, s := range images {
			context = append(context, slot(s))
		}
		sampling := runtime.Sampling{MaxTokens: 1024} // greedy
		if form == YesNo || form == Preference {
			sampling.Candidates = candidates
		}
		return Question{
			Step:  Step{Name: name, Version: "1", Role: RoleJudge, Context: context, Sampling: sampling},
			Topic: topic, Form: form, Concerns: concerns, Quotes: quotes,
		}
	}
	align := func(s irgdata.Slot) Question {
		return ask(TopicAlignment, QuestionAlignment, PromptJudgeAlignment, YesNo, s, irgdata.SlotPrompt, s)
	}
	prefer := func(first, second irgdata.Slot) Question {
		return ask(TopicPreference, QuestionPreference, PromptJudgePreference, Preference, improved, irgdata.SlotPrompt, first, second)
	}
	defect := func(s irgdata.Slot) Question {
		q := ask(TopicFaithfulness, QuestionDefect, PromptJudgeDefect, YesNo, irgdata.SlotReflection, irgdata.SlotPrompt, s)
		q.Each = true
		return q
	}
	invention := func(text irgdata.Slot, images ...irgdata.Slot) Question {
		return ask(TopicInvention, QuestionInvention, PromptJudgeInvention, YesNo, text, text, images...)
	}
	list := []Question{align(draft), align(improved)}
	if strategy == irgdata.Self { // else the reference is the improved image
		list = append(list, align(irgdata.SlotReference))
	}
	return append(list,
		prefer(draft, improved), prefer(improved, draft),
		ask(TopicPreservation, QuestionPreservation, PromptJudgePreservation, YesNo, improved, irgdata.SlotPrompt, draft, improved),
		ask(TopicFaithfulness, QuestionClaims, PromptJudgeClaims, Claims, irgdata.SlotReflection, irgdata.SlotReflection),
		defect(draft), defect(improved),
		invention(irgdata.SlotThinking, irgdata.SlotReference),
		invention(irgdata.SlotDraftThinking, draft),
		invention(irgdata.SlotReflection, draft, improved),
	)
}

// Scorer is a question to a model that gives numbers for an image and its
// prompt. The numbers of one model are asked for once, however many rules use
// them.
type Scorer struct {
	// Model names the model of the configuration.
	Model string
	// Images are the slots that it is asked about.
	Images []irgdata.Slot
}

// ScorerRole is the role of a scorer's model.
func ScorerRole(model string) Role { return Role("scorer." + model) }

// ScorerQuestion is the name of the question to a scorer's model.
func ScorerQuestion(model string) string { return "score." + model }

// questions are those to the scorer.
func (s Scorer) questions(strategy irgdata.Strategy) []Question {
	var list []Question
	for _, image := range s.Images {
		if image == irgdata.SlotReference && strategy == irgdata.Distill && slices.Contains(s.Images, irgdata.SlotImproved) {
			continue // it is the improved image
		}
		list = append(list, Question{
			Step: Step{
				Name: ScorerQuestion(s.Model), Version: "1", Role: ScorerRole(s.Model),
				Context: segments(slot(irgdata.SlotPrompt), slot(image)),
			},
			Form: Numbers, Concerns: image,
		})
	}
	return list
}

// QuestionsFor returns the questions on the given topics, and those to the
// scorers, that say something about the given modes: those whose slots the
// modes' calls fill, and which concern a slot that one of the modes shows.
func QuestionsFor(strategy irgdata.Strategy, wanted []Mode, topics []string, scorers []Scorer) []Question {
	filled := map[irgdata.Slot]bool{irgdata.SlotPrompt: true, irgdata.SlotReference: true}
	for _, step := range StepsFor(strategy, wanted, true) {
		filled[step.Fills] = true
	}
	shown := map[irgdata.Slot]bool{}
	for _, m := range wanted {
		for _, s := range m.Needs() {
			shown[s] = true
		}
	}
	if strategy == irgdata.Distill {
		filled[irgdata.SlotImproved] = true
		either := shown[irgdata.SlotReference] || shown[irgdata.SlotImproved]
		shown[irgdata.SlotReference], shown[irgdata.SlotImproved] = either, either
	}
	list := slices.DeleteFunc(questions(strategy), func(q Question) bool { return !slices.Contains(topics, q.Topic) })
	for _, s := range scorers {
		list = append(list, s.questions(strategy)...)
	}
	return slices.DeleteFunc(list, func(q Question) bool {
		return !shown[q.Concerns] || slices.ContainsFunc(q.Needs(), func(s irgdata.Slot) bool { return !filled[s] })
	})
}

// CheckTopics reports a topic that is unknown or named twice.
func CheckTopics(topics []string) error {
	for i, topic := range topics {
		switch {
		case !slices.Contains(Topics(), topic):
			return fmt.Errorf("question %q is unknown: want one of %s", topic, strings.Join(Topics(), ", "))
		case slices.Contains(topics[:i], topic):
			return fmt.Errorf("question %q is listed twice", topic)
		}
	}
	return nil
}
