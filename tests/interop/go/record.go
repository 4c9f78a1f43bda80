package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors that a program may test for, by name.
var sentinels = []struct {
	name string
	err  error
}{
	{"ErrBadBucket", jetstream.ErrBadBucket},
	{"ErrBucketExists", jetstream.ErrBucketExists},
	{"ErrBucketNotFound", jetstream.ErrBucketNotFound},
	{"ErrConsumerDoesNotExist", jetstream.ErrConsumerDoesNotExist},
	{"ErrConsumerExists", jetstream.ErrConsumerExists},
	{"ErrConsumerNotFound", jetstream.ErrConsumerNotFound},
	{"ErrHistoryTooLarge", jetstream.ErrHistoryTooLarge},
	{"ErrInvalidBucketName", jetstream.ErrInvalidBucketName},
	{"ErrInvalidKey", jetstream.ErrInvalidKey},
	{"ErrInvalidOption", jetstream.ErrInvalidOption},
	{"ErrKeyDeleted", jetstream.ErrKeyDeleted},
	{"ErrKeyExists", jetstream.ErrKeyExists},
	{"ErrKeyNotFound", jetstream.ErrKeyNotFound},
	{"ErrKeyRevisionMismatch", jetstream.ErrKeyRevisionMismatch},
	{"ErrMsgNotFound", jetstream.ErrMsgNotFound},
	{"ErrNoKeysFound", jetstream.ErrNoKeysFound},
	{"ErrNoStreamResponse", jetstream.ErrNoStreamResponse},
	{"ErrStreamMessageExceedsMaximum", jetstream.ErrStreamMessageExceedsMaximum},
	{"ErrStreamNameAlreadyInUse", jetstream.ErrStreamNameAlreadyInUse},
	{"ErrStreamNotFound", jetstream.ErrStreamNotFound},
	{"ErrTTLOnDeleteNotSupported", jetstream.ErrTTLOnDeleteNotSupported},
}

// recorder is a case under way: its connection, and the lines so far.
type recorder struct {
	name string
	nc   *nats.Conn
	js   jetstream.JetStream
	ctx  context.Context

	mutex sync.Mutex
	lines []string
}

func (r *recorder) note(call string, value any, err error) {
	result := ""
	if err != nil {
		result = showError(err)
	} else {
		result = show(value)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%s: %s -> %s", r.name, call, result))
}

// did notes a call that gives nothing but an error.
func (r *recorder) did(call string, err error) { r.note(call, nil, err) }

func (r *recorder) written() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]string(nil), r.lines...)
}

// bucket makes a bucket; the case can't go on without it.
func (r *recorder) bucket(config jetstream.KeyValueConfig) jetstream.KeyValue {
	kv, err := r.js.CreateKeyValue(r.ctx, config)
	r.note("CreateKeyValue("+config.Bucket+")", kv, err)
	if err != nil {
		panic("no bucket")
	}
	return kv
}

// put writes without a line; a script's furniture.
func (r *recorder) put(kv jetstream.KeyValue, key, value string) uint64 {
	revision, err := kv.Put(r.ctx, key, []byte(value))
	if err != nil {
		panic(err)
	}
	return revision
}

// until asks again until the answer is yes.
func (r *recorder) until(what string, look func() bool) {
	for !look() {
		select {
		case <-r.ctx.Done():
			panic("never: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// read takes entries from a watch, up to `last`; nil is the end of the initial values.
func (r *recorder) read(call string, w jetstream.KeyWatcher, last func(jetstream.KeyValueEntry) bool) {
	var found []string
	for {
		select {
		case entry, open := <-w.Updates():
			if !open {
				found = append(found, "closed")
				r.note(call, strings.Join(found, "; "), nil)
				return
			}
			if entry == nil {
				found = append(found, "END OF INITIAL VALUES")
			} else {
				found = append(found, show(entry))
			}
			if last(entry) {
				r.note(call, strings.Join(found, "; "), nil)
				return
			}
		case <-r.ctx.Done():
			found = append(found, "nothing more came")
			r.note(call, strings.Join(found, "; "), nil)
			return
		}
	}
}

func marker(entry jetstream.KeyValueEntry) bool { return entry == nil }

func revision(wanted uint64) func(jetstream.KeyValueEntry) bool {
	return func(entry jetstream.KeyValueEntry) bool {
		return entry != nil && entry.Revision() >= wanted
	}
}

func drain[T any](from <-chan T) []T {
	var all []T
	for one := range from {
		all = append(all, one)
	}
	return all
}

func showError(err error) string {
	var names []string
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel.err) {
			names = append(names, sentinel.name)
		}
	}
	text := fmt.Sprintf("error %q %v", err.Error(), names)
	var api *jetstream.APIError
	if errors.As(err, &api) {
		text += fmt.Sprintf(" code=%d err_code=%d %q", api.Code, api.ErrorCode, api.Description)
	}
	return text
}

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "ok"
	case string:
		return v
	case error:
		return showError(v)
	case jetstream.KeyValue:
		return "bucket " + v.Bucket()
	case jetstream.KeyValueEntry:
		text := string(v.Value())
		if len(text) > 40 {
			text = fmt.Sprintf("%s… %d bytes", text[:10], len(text))
		}
		return fmt.Sprintf("%s/%s=%q @%d delta=%d %s created=%s", v.Bucket(), v.Key(), text,
			v.Revision(), v.Delta(), v.Operation(), moment(v.Created()))
	case []jetstream.KeyValueEntry:
		var all []string
		for _, entry := range v {
			all = append(all, show(entry))
		}
		return fmt.Sprintf("%d entries: %s", len(v), strings.Join(all, "; "))
	case jetstream.KeyValueStatus:
		return fmt.Sprintf(
			"Bucket=%s Values=%d History=%d TTL=%s BackingStore=%s Bytes=%d IsCompressed=%t "+
				"LimitMarkerTTL=%s Metadata=%s Config=%s",
			v.Bucket(), v.Values(), v.History(), v.TTL(), v.BackingStore(), v.Bytes(),
			v.IsCompressed(), v.LimitMarkerTTL(), plain(v.Metadata()), plain(v.Config()))
	case jetstream.Msg:
		about, err := v.Metadata()
		if err != nil {
			return fmt.Sprintf("%s=%q", v.Subject(), v.Data())
		}
		return fmt.Sprintf("%s=%q headers=%s stream=%s seq=%d/%d delivered=%d pending=%d at=%s",
			v.Subject(), v.Data(), plain(v.Headers()), about.Stream, about.Sequence.Stream,
			about.Sequence.Consumer, about.NumDelivered, about.NumPending, moment(about.Timestamp))
	case *jetstream.RawStreamMsg:
		return fmt.Sprintf("%s=%q @%d headers=%s at=%s", v.Subject, v.Data, v.Sequence,
			plain(v.Header), moment(v.Time))
	default:
		return plain(v)
	}
}

// moment is a time as far as two runs can share it.
func moment(t time.Time) string {
	since := time.Since(t)
	switch {
	case t.IsZero():
		return "never"
	case since > -time.Minute && since < time.Minute:
		return "now"
	default:
		return t.UTC().Format(time.RFC3339)
	}
}

// plain is a value as JSON with sorted keys and without the moments.
func plain(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	var tree any
	if json.Unmarshal(text, &tree) != nil {
		return string(text)
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(timeless(tree)) != nil {
		return string(text)
	}
	return strings.TrimSpace(out.String())
}

func timeless(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = timeless(value)
		}
	case []any:
		for at, value := range v {
			v[at] = timeless(value)
		}
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return moment(t)
		}
	}
	return tree
}
