package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// Account says what the recorded calls used and cost.
type Account struct {
	Steps []StepUsage `json:"steps"`
	// Modes say what the rows of a mode rest on. Modes share calls: a call is
	// counted whole under every mode that needs its step, so the modes do not add
	// up to the total.
	Modes []ModeUsage `json:"modes"`
	// Servers say what each server of a model did, where it has some.
	Servers []ServerUsage `json:"servers,omitempty"`
	// Total counts each call once, also those of steps that no mode needs.
	Total Usage `json:"total"`
	// Doubles are calls that two machines had under way at one time: what the
	// second making used and cost. Nothing else counts it.
	Doubles Usage `json:"doubles,omitzero"`
	// Removed are calls about pairs that were removed, whose answers were deleted.
	// Nothing else counts them.
	Removed Usage `json:"removed,omitzero"`
}

// StepUsage is of the calls of one step with one model.
type StepUsage struct {
	Step  string `json:"step"`
	Model string `json:"model"`
	Usage
}

// ServerUsage is of the calls that one server of a model answered.
type ServerUsage struct {
	Model  string `json:"model"`
	Server string `json:"server"`
	Usage
}

// ModeUsage is of the calls of the steps that a mode needs.
type ModeUsage struct {
	Mode string `json:"mode"`
	Usage
}

// ModeSteps are the steps, "draft/1", whose answers the rows of a mode need.
type ModeSteps struct {
	Mode  string
	Steps []string
}

// NewAccount prices what [Ledger.Costs], [Ledger.ServerCosts], [Ledger.Doubles]
// and [Ledger.PurgedCosts] summed up. Steps are in the order of the costs, modes in the
// given one.
func NewAccount(costs []StepCost, servers []ServerCost, doubles, removed []StepCost, prices Prices, modes []ModeSteps) Account {
	a := Account{Steps: []StepUsage{}, Modes: []ModeUsage{}}
	for _, c := range costs {
		u := prices[c.Model].usage(c)
		a.Steps = append(a.Steps, StepUsage{c.Step, c.Model, u})
		a.Total.Add(u)
	}
	for _, c := range servers {
		a.Servers = append(a.Servers, ServerUsage{c.Model, c.Server, prices[c.Model].usage(c.StepCost)})
	}
	for _, c := range doubles {
		a.Doubles.Add(prices[c.Model].usage(c))
	}
	for _, c := range removed {
		a.Removed.Add(prices[c.Model].usage(c))
	}
	for _, m := range modes {
		mode := ModeUsage{Mode: m.Mode}
		for _, s := range a.Steps {
			if slices.Contains(m.Steps, s.Step) {
				mode.Add(s.Usage)
			}
		}
		a.Modes = append(a.Modes, mode)
	}
	return a
}

// accountPrefix is the folder of the accounts of snapshots. They lie beside the
// manifests, which hold no measured second: equal inputs and answers give an
// equal manifest, and never equal times.
const accountPrefix = "accounts/"

// maxAccount bounds an account's bytes against damaged and hostile ones.
const maxAccount = 64 << 20

// AccountKey is where the account of a snapshot lies in its store.
func AccountKey(number int) string {
	return fmt.Sprintf("%s%06d%s", accountPrefix, number, manifestSuffix)
}

// PutAccount keeps what the ledger held when the snapshot was published: what
// the dataset had cost until then. An account that is there already stays.
func PutAccount(ctx context.Context, store blob.Store, number int, a Account) error {
	text, err := a.encode()
	if err == nil {
		err = blob.PutBytes(ctx, store, AccountKey(number), text, blob.PutOptions{CreateOnly: true})
	}
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return fmt.Errorf("keep the account of snapshot %d: %w", number, err)
	}
	return nil
}

// LoadAccount reads the account of a snapshot; blob.ErrNotExist if there is none.
func LoadAccount(ctx context.Context, store blob.Store, number int) (Account, error) {
	var kept keptAccount
	text, err := blob.ReadAll(ctx, store, AccountKey(number), maxAccount)
	if err == nil {
		err = damage(json.Unmarshal(text, &kept))
	}
	if err != nil {
		return kept.Account, fmt.Errorf("read the account of snapshot %d: %w", number, err)
	}
	if again, err := kept.encode(); err != nil || !bytes.Equal(again, text) {
		return kept.Account, fmt.Errorf("read the account of snapshot %d: %w: its checksum does not fit", number, blob.ErrDamaged)
	}
	return kept.Account, nil
}

// keptAccount is an account with the digest of its bytes while Checksum is
// empty.
type keptAccount struct {
	Account
	Checksum irgdata.Digest `json:"checksum"`
}

func (a Account) encode() ([]byte, error) {
	text, err := json.MarshalIndent(keptAccount{Account: a}, "", "  ")
	if err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(keptAccount{a, irgdata.DigestOf(text)}, "", "  ")
	return append(text, '\n'), err
}
