package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// keys lists keys in each way.
func keys(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "keys", History: 2})
	all := func(call string) {
		found, err := kv.Keys(ctx)
		r.note("Keys "+call, strings.Join(found, " "), err)
		lister, err := kv.ListKeys(ctx)
		if err == nil {
			r.note("ListKeys "+call, strings.Join(drain(lister.Keys()), " "), nil)
			r.did("KeyLister.Stop", lister.Stop())
		} else {
			r.did("ListKeys "+call, err)
		}
	}
	all("of an empty bucket")
	for i := range 12 {
		r.put(kv, fmt.Sprintf("a.%d", i), strings.Repeat("v", i))
	}
	r.put(kv, "b", "v")
	r.put(kv, "a.3", "again")
	r.did("Delete", kv.Delete(ctx, "a.4"))
	r.did("Purge", kv.Purge(ctx, "a.5"))
	all("of all")
	for _, filters := range [][]string{
		{"a.1"}, {"a.*"}, {"a.>"}, {"b", "a.2"}, {"a.*", "b"}, {">"}, {"zzz"}, {"a.4"},
		{}, {"a b"}, {"a.*", "a.>"}, {"b", "b"},
	} {
		call := fmt.Sprintf("ListKeysFiltered%q", filters)
		lister, err := kv.ListKeysFiltered(ctx, filters...)
		if err != nil {
			r.did(call, err)
			continue
		}
		r.note(call, strings.Join(drain(lister.Keys()), " "), nil)
	}
	found, err := kv.Keys(ctx, jetstream.ResumeFromRevision(13))
	r.note("Keys(ResumeFromRevision)", strings.Join(found, " "), err)
	lister, err := kv.ListKeys(ctx, jetstream.IncludeHistory())
	r.note("ListKeys(IncludeHistory)", strings.Join(drain(lister.Keys()), " "), err)
	r.did("DeleteKeyValue", r.js.DeleteKeyValue(ctx, "keys"))
	found, err = kv.Keys(ctx)
	r.note("Keys(deleted bucket)", strings.Join(found, " "), err)
}

// history reads what a key was.
func history(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "history", History: 3})
	look := func(call, key string, options ...jetstream.WatchOpt) {
		entries, err := kv.History(ctx, key, options...)
		r.note("History "+call, entries, err)
	}
	look("none", "k")
	for i := range 5 {
		r.put(kv, "k", fmt.Sprint(i))
		r.put(kv, "x.other", fmt.Sprint(i))
	}
	look("three of five", "k")
	r.did("Delete", kv.Delete(ctx, "k"))
	look("with a delete", "k")
	r.did("Purge", kv.Purge(ctx, "k"))
	look("with a purge", "k")
	r.put(kv, "k", "back")
	look("back", "k")
	look("pattern", "x.*")
	look("all", ">")
	look("bad key", "a b")
	look("MetaOnly", "k", jetstream.MetaOnly())
	look("IgnoreDeletes", "k", jetstream.IgnoreDeletes())
	look("ResumeFromRevision", "x.*", jetstream.ResumeFromRevision(8))
	look("UpdatesOnly", "k", jetstream.UpdatesOnly())
}

// watch uses each way to begin a watch.
func watch(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "watch", History: 4})
	w, err := kv.WatchAll(ctx)
	r.did("WatchAll of an empty bucket", err)
	r.read("Updates", w, marker)
	r.put(kv, "a", "1")
	r.read("Updates live", w, revision(1))
	r.did("Delete", kv.Delete(ctx, "a"))
	r.read("Updates live delete", w, revision(2))
	r.did("Purge", kv.Purge(ctx, "a"))
	r.read("Updates live purge", w, revision(3))
	r.did("Stop", w.Stop())
	r.read("Updates after Stop", w, func(jetstream.KeyValueEntry) bool { return false })
	for i := range 3 {
		r.put(kv, "a", fmt.Sprint(i))
		r.put(kv, "x.y", fmt.Sprint(i))
		r.put(kv, "x.y.z", fmt.Sprint(i))
	}
	for _, pattern := range []string{"a", "x.*", "x.>", ">", "*", "none", "none.>", "", ".a", "a.", "a b", "a..b"} {
		w, err = kv.Watch(ctx, pattern)
		r.did(fmt.Sprintf("Watch(%q)", pattern), err)
		if err == nil {
			r.read("Updates", w, marker)
			r.did("Stop", w.Stop())
		}
	}
	for _, filters := range [][]string{{"a"}, {"a", "x.*"}, {"a", "x.>"}, {}, {"none", "nobody"}, {"x.*", "x.>"}, {"a b"}} {
		call := fmt.Sprintf("WatchFiltered%q", filters)
		w, err = kv.WatchFiltered(ctx, filters)
		r.did(call, err)
		if err != nil {
			continue
		}
		r.read("Updates", w, marker)
		r.did("Stop", w.Stop())
	}
	many := r.bucket(config{Bucket: "watch_many", History: 2})
	for i := range 600 {
		r.put(many, fmt.Sprintf("k%d", i%250), fmt.Sprint(i))
	}
	w, err = many.WatchAll(ctx, jetstream.IncludeHistory())
	r.did("WatchAll of 500", err)
	count, sum := 0, uint64(0)
	for entry := range w.Updates() {
		if entry == nil {
			break
		}
		count++
		sum += entry.Revision() * entry.Delta()
	}
	r.note("Updates of 500", fmt.Sprint(count, " ", sum), nil)
	r.did("Stop", w.Stop())
}

// watchOptions uses each option of a watch, alone and with others.
func watchOptions(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "watch_options", History: 4})
	for i := range 3 {
		r.put(kv, "a", fmt.Sprint(i))
		r.put(kv, "b", fmt.Sprint(i))
		r.put(kv, "c", fmt.Sprint(i))
	}
	r.did("Delete", kv.Delete(ctx, "b"))
	r.did("Purge", kv.Purge(ctx, "c"))
	type options = []jetstream.WatchOpt
	for _, one := range []struct {
		name    string
		options options
	}{
		{"IncludeHistory", options{jetstream.IncludeHistory()}},
		{"UpdatesOnly", options{jetstream.UpdatesOnly()}},
		{"MetaOnly", options{jetstream.MetaOnly()}},
		{"IgnoreDeletes", options{jetstream.IgnoreDeletes()}},
		{"ResumeFromRevision 1", options{jetstream.ResumeFromRevision(1)}},
		{"ResumeFromRevision 7", options{jetstream.ResumeFromRevision(7)}},
		{"ResumeFromRevision to come", options{jetstream.ResumeFromRevision(9999)}},
		{"IncludeHistory, MetaOnly", options{jetstream.IncludeHistory(), jetstream.MetaOnly()}},
		{"IncludeHistory, IgnoreDeletes", options{jetstream.IncludeHistory(), jetstream.IgnoreDeletes()}},
		{"IncludeHistory, ResumeFromRevision", options{jetstream.IncludeHistory(), jetstream.ResumeFromRevision(5)}},
		{"UpdatesOnly, MetaOnly, IgnoreDeletes", options{jetstream.UpdatesOnly(), jetstream.MetaOnly(), jetstream.IgnoreDeletes()}},
		{"IncludeHistory, UpdatesOnly", options{jetstream.IncludeHistory(), jetstream.UpdatesOnly()}},
		{"UpdatesOnly, IncludeHistory", options{jetstream.UpdatesOnly(), jetstream.IncludeHistory()}},
	} {
		w, err := kv.Watch(ctx, ">", one.options...)
		r.did("Watch "+one.name, err)
		if err != nil {
			continue
		}
		if !strings.Contains(one.name, "UpdatesOnly") && !strings.Contains(one.name, "to come") {
			r.read("Updates "+one.name, w, marker)
		}
		r.put(kv, "a", one.name)
		r.did("Delete", kv.Delete(ctx, "a"))
		last := r.put(kv, "b", one.name)
		if !strings.Contains(one.name, "to come") {
			r.readSlowly("Updates live "+one.name, w, last)
		}
		r.did("Stop", w.Stop())
	}
}

// readSlowly reads live entries without their deltas: how many wait behind a live update
// depends on how fast the reader is just then.
func (r *recorder) readSlowly(call string, w jetstream.KeyWatcher, last uint64) {
	var found []string
	for {
		select {
		case entry := <-w.Updates():
			if entry == nil {
				found = append(found, "END OF INITIAL VALUES")
				continue
			}
			found = append(found, fmt.Sprintf("%s=%q @%d %s", entry.Key(), entry.Value(),
				entry.Revision(), entry.Operation()))
			if entry.Revision() == last {
				r.note(call, strings.Join(found, "; "), nil)
				return
			}
		case <-r.ctx.Done():
			r.note(call, strings.Join(append(found, "nothing more came"), "; "), nil)
			return
		}
	}
}

// watchLive sees a bucket made, filled and removed under it.
func watchLive(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "watch_live", History: 64})
	one, err := kv.Watch(ctx, "one")
	r.did("Watch(one)", err)
	all, err := kv.WatchAll(ctx, jetstream.UpdatesOnly())
	r.did("WatchAll(UpdatesOnly)", err)
	for i := range 20 {
		r.put(kv, "other", fmt.Sprint(i))
	}
	last := r.put(kv, "one", "seen")
	r.readSlowly("Updates of one", one, last)
	r.readSlowly("Updates of all", all, last)
	r.did("Stop", one.Stop())
	r.did("Stop", all.Stop())
}

// markers lets keys end, with markers for their ends.
func markers(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "markers", History: 3, LimitMarkerTTL: 2 * time.Second})
	w, err := kv.WatchAll(ctx)
	r.did("WatchAll", err)
	r.read("Updates", w, marker)
	number, err := kv.Create(ctx, "k", []byte("v"), jetstream.KeyTTL(time.Second))
	r.note("Create(KeyTTL)", number, err)
	for _, ttl := range []time.Duration{500 * time.Millisecond, -time.Second, time.Hour} {
		number, err = kv.Create(ctx, "t", []byte("v"), jetstream.KeyTTL(ttl))
		r.note(fmt.Sprintf("Create(KeyTTL %s)", ttl), number, err)
	}
	number, err = kv.Create(ctx, "k", []byte("w"), jetstream.KeyTTL(time.Second))
	r.note("Create(KeyTTL) there", number, err)
	entry, err := kv.Get(ctx, "k")
	r.note("Get", entry, err)
	r.readUntil("Updates until the marker", w, jetstream.KeyValuePurge)
	entry, err = kv.Get(ctx, "k")
	r.note("Get expired", entry, err)
	entries, err := kv.History(ctx, "k")
	r.note("History expired", entries, err)
	number, err = kv.Create(ctx, "k", []byte("again"))
	r.note("Create expired", number, err)
	r.did("Purge(PurgeTTL)", kv.Purge(ctx, "t", jetstream.PurgeTTL(time.Second)))
	entries, err = kv.History(ctx, "t")
	r.note("History purged", entries, err)
	r.until("the purge's marker is gone", func() bool {
		status, err := kv.Status(ctx)
		return err == nil && status.Values() == 1
	})
	entries, err = kv.History(ctx, "t")
	r.note("History purged and gone", entries, err)
	r.did("Purge(PurgeTTL, LastRevision stale)", kv.Purge(ctx, "k", jetstream.PurgeTTL(time.Hour), jetstream.LastRevision(1)))
	r.did("Delete(PurgeTTL)", kv.Delete(ctx, "k", jetstream.PurgeTTL(time.Hour)))
	status, err := kv.Status(ctx)
	r.note("Status", status, err)
	r.did("Stop", w.Stop())
}

// readUntil reads up to the first entry of an operation.
func (r *recorder) readUntil(call string, w jetstream.KeyWatcher, operation jetstream.KeyValueOp) {
	r.read(call, w, func(entry jetstream.KeyValueEntry) bool {
		return entry != nil && entry.Operation() == operation
	})
}

// noMarkers lets values age away without a word.
func noMarkers(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "no_markers", History: 2, TTL: 2 * time.Second})
	r.put(kv, "k", "1")
	r.put(kv, "k", "2")
	status, err := kv.Status(ctx)
	r.note("Status", status, err)
	r.until("the values are gone", func() bool {
		status, err = kv.Status(ctx)
		return err == nil && status.Values() == 0
	})
	entry, err := kv.Get(ctx, "k")
	r.note("Get aged", entry, err)
	found, err := kv.Keys(ctx)
	r.note("Keys aged", strings.Join(found, " "), err)
	number, err := kv.Create(ctx, "k", []byte("again"))
	r.note("Create aged", number, err)
	r.did("DeleteKeyValue", r.js.DeleteKeyValue(ctx, "no_markers"))
}
