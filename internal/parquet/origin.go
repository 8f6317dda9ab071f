package parquet

import (
	"encoding/base64"
	"errors"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Names are those of all columns, in the order of the file.
func (r *Reader) Names() []string {
	var names []string
	for i := range r.schema.Root().NumFields() {
		names = append(names, r.schema.Root().Field(i).Name())
	}
	return names
}

// Metadata is the text that the file's footer has at a key.
func (r *Reader) Metadata(key string) (text string, ok bool) {
	value := r.file.MetaData().KeyValueMetadata().FindValue(key)
	if value == nil {
		return "", false
	}
	return *value, true
}

// TimeZones are those that pandas looks up to read the file: of all timestamps
// but those of a bare list, which stay numbers. They stand in the Arrow schema
// alone that Arrow's writers put into the footer: a Parquet timestamp is UTC.
func (r *Reader) TimeZones() ([]string, error) {
	text, ok := r.Metadata("ARROW:schema")
	if !ok {
		return nil, nil
	}
	return arrowZones(text)
}

// arrowZones reads the Arrow schema as it stands in a footer.
func arrowZones(text string) (zones []string, err error) {
	defer guard(&err) // flatbuffers does not look where it reads
	message, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, err
	}
	// format/Message.fbs: a mark since Arrow 0.15, the length, the message.
	if strings.HasPrefix(string(message), "\xff\xff\xff\xff") {
		message = message[4:]
	}
	message = message[4:]
	root := flatbuffers.Table{Bytes: message, Pos: flatbuffers.GetUOffsetT(message)}
	header, ok := below(root, messageHeader)
	if !ok {
		return nil, nil
	}
	w := zoneWalk{left: maxArrowFields}
	err = w.fields(header, schemaFields, topLevel)
	return w.zones, err
}

// Places of the fields in the tables of Message.fbs and Schema.fbs, each 4 and
// twice its number there, and the number of a type in the union Type.
const (
	messageHeader   = 8
	schemaFields    = 6
	fieldTypeType   = 8
	fieldType       = 10
	fieldDictionary = 12
	fieldChildren   = 14
	timestampZone   = 6

	arrowTimestamp     = 10
	arrowList          = 12
	arrowFixedSizeList = 16
	arrowLargeList     = 21
)

// maxArrowFields bounds the walk: parts of a flatbuffer can be shared.
const maxArrowFields = 1 << 16

type zoneWalk struct {
	left  int
	zones []string
}

// Where a field stands: pandas makes arrays of numbers of lists, and of lists of
// lists, of timestamps.
const (
	topLevel = iota
	inLists
	inOthers
)

// fields collects the zones of the fields that lie in a table at a place.
func (w *zoneWalk) fields(table flatbuffers.Table, place flatbuffers.VOffsetT, where int) error {
	at := flatbuffers.UOffsetT(table.Offset(place))
	if at == 0 {
		return nil
	}
	first := table.Vector(at)
	for i := range table.VectorLen(at) {
		if w.left--; w.left < 0 {
			return errors.New("parquet: the Arrow schema has too many fields")
		}
		field := flatbuffers.Table{Bytes: table.Bytes, Pos: table.Indirect(first + 4*flatbuffers.UOffsetT(i))}
		kind := field.GetByteSlot(fieldTypeType, 0)
		if kind == arrowTimestamp && where != inLists && field.Offset(fieldDictionary) == 0 {
			if timestamp, ok := below(field, fieldType); ok {
				if o := timestamp.Offset(timestampZone); o != 0 {
					w.zones = append(w.zones, timestamp.String(timestamp.Pos+flatbuffers.UOffsetT(o)))
				}
			}
		}
		inner := inOthers
		if list := kind == arrowList || kind == arrowFixedSizeList || kind == arrowLargeList; list && where != inOthers {
			inner = inLists
		}
		if err := w.fields(field, fieldChildren, inner); err != nil {
			return err
		}
	}
	return nil
}

// below is the table that another has at a place.
func below(table flatbuffers.Table, place flatbuffers.VOffsetT) (flatbuffers.Table, bool) {
	at := flatbuffers.UOffsetT(table.Offset(place))
	if at == 0 {
		return flatbuffers.Table{}, false
	}
	return flatbuffers.Table{Bytes: table.Bytes, Pos: table.Indirect(table.Pos + at)}, true
}
