package export

import (
	"encoding/json"
	"fmt"
)

// croissantContext is the context of Croissant 1.0, as its specification gives
// it (docs.mlcommons.org/croissant/docs/croissant-spec.html, appendix 1).
const croissantContext = `{
  "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
  "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
  "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
  "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
  "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
  "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
  "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
  "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
  "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
  "transform": "cr:transform"
}`

const paper = "@article{huang2025interleaving, title={Interleaving Reasoning for Better Text-to-Image Generation}, journal={arXiv preprint arXiv:2509.06945}, year={2025}}"

// croissant describes the export in JSON-LD, for programs that know no Hub: the
// files of each mode and split, and the columns of the mode.
func (c *card) croissant(files []ModeFiles) ([]byte, error) {
	var sets, records []map[string]any
	for _, f := range files {
		id := fmt.Sprintf("%s/%s", f.Mode, f.Split)
		sets = append(sets, map[string]any{
			"@type": "cr:FileSet", "@id": id + "/files", "name": id + "/files", "encodingFormat": "application/x-parquet",
			"includes": fmt.Sprintf("%s/%s-*.parquet", f.Mode, f.Split),
		})
		var fields []map[string]any
		for _, column := range hfColumns() {
			field := map[string]any{
				"@type": "cr:Field", "@id": id + "/" + column.Name, "name": id + "/" + column.Name, "dataType": "sc:Text",
				"source": map[string]any{"fileSet": map[string]string{"@id": id + "/files"}, "extract": map[string]string{"column": column.Name}},
			}
			switch column.Name {
			case "images":
				field["dataType"], field["repeated"] = "sc:ImageObject", true
				field["source"].(map[string]any)["transform"] = map[string]string{"jsonPath": "bytes"}
			case "messages":
				// Croissant's readers know one level of lists: of each message the
				// role. The parts are in the Parquet files.
				delete(field, "dataType")
				delete(field, "source")
				field["repeated"] = true
				field["subField"] = []map[string]any{{
					"@type": "cr:Field", "@id": id + "/messages/role", "name": id + "/messages/role", "dataType": "sc:Text",
					"source": map[string]any{
						"fileSet": map[string]string{"@id": id + "/files"}, "extract": map[string]string{"column": column.Name},
						"transform": map[string]string{"jsonPath": "role"},
					},
				}}
			}
			fields = append(fields, field)
		}
		records = append(records, map[string]any{
			"@type": "cr:RecordSet", "@id": id, "name": id, "field": fields,
			"description": fmt.Sprintf("The mode %s, split %s: %d rows.", f.Mode, f.Split, f.Rows),
		})
	}
	license := c.license()
	if license == "other" {
		license = "see the column license of each row"
	}
	return indented(map[string]any{
		"@context": json.RawMessage(croissantContext), "@type": "sc:Dataset", "name": datasetName,
		"conformsTo":  "http://mlcommons.org/croissant/1.0",
		"description": "Trajectories of thinking, drawing, looking at the drawing, and drawing better, for text-to-image models.",
		"url":         "https://github.com/irgdata/irgdata", "license": license, "version": fmt.Sprintf("%d.0.0", c.plan.snapshot.Number), "citeAs": paper,
		"distribution": sets, "recordSet": records,
	})
}
