package fakeaws

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// serveFigures plays CloudWatch's GetMetricData, which speaks CBOR: a value a minute, as Figure says.
func (f *Fake) serveFigures(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/operation/GetMetricData") {
		http.Error(w, "fakeaws plays monitoring:GetMetricData only", http.StatusNotImplemented)
		return
	}
	value, err := cbor.Decode(body)
	in, ok := value.(cbor.Map)
	if err != nil || !ok {
		http.Error(w, "this is no CBOR", http.StatusBadRequest)
		return
	}
	from, err1 := instant(in["StartTime"])
	to, err2 := instant(in["EndTime"])
	if err1 != nil || err2 != nil {
		http.Error(w, "StartTime and EndTime must be there", http.StatusBadRequest)
		return
	}
	var results cbor.List
	queries, _ := in["MetricDataQueries"].(cbor.List)
	for _, q := range queries {
		results = append(results, f.answer(q, from, to))
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	_, _ = w.Write(cbor.Encode(cbor.Map{"MetricDataResults": results}))
}

func instant(v cbor.Value) (time.Time, error) {
	if tag, is := v.(*cbor.Tag); is {
		switch tag.Value.(type) {
		case cbor.Float64, cbor.Uint:
			return cbor.AsTime(v) //nolint:wrapcheck // told as it is
		}
	}
	return cbor.AsTime(v) //nolint:wrapcheck // told as it is
}

func (f *Fake) answer(q cbor.Value, from, to time.Time) cbor.Value {
	query, _ := q.(cbor.Map)
	stat, _ := query["MetricStat"].(cbor.Map)
	metric, _ := stat["Metric"].(cbor.Map)
	dimensions, _ := metric["Dimensions"].(cbor.List)
	var group string
	for _, d := range dimensions {
		if m, _ := d.(cbor.Map); m["Name"] == cbor.String("TargetGroup") {
			v, _ := m["Value"].(cbor.String)
			group = string(v)
		}
	}
	name, _ := metric["MetricName"].(cbor.String)
	statistic, _ := stat["Stat"].(cbor.String)
	values, stamps := cbor.List{}, cbor.List{}
	for minute := from.Truncate(time.Minute); minute.Before(to) && f.Figure != nil; minute = minute.Add(time.Minute) {
		values = append(values, cbor.Float64(f.Figure(group, string(name), string(statistic), minute)))
		stamps = append(stamps, &cbor.Tag{ID: 1, Value: cbor.Float64(minute.Unix())})
	}
	return cbor.Map{"Id": query["Id"], "StatusCode": cbor.String("Complete"), "Values": values, "Timestamps": stamps}
}
