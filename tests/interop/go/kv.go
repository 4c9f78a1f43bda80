package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type config = jetstream.KeyValueConfig

// manage makes, changes, finds and removes buckets.
func manage(r *recorder) {
	js, ctx := r.js, r.ctx
	kv, err := js.KeyValue(ctx, "m_none")
	r.note("KeyValue(missing)", kv, err)
	kv, err = js.KeyValue(ctx, "bad.name")
	r.note("KeyValue(bad name)", kv, err)
	for _, name := range []string{"", "a b", "a.b", "a*", "ä"} {
		kv, err = js.CreateKeyValue(ctx, config{Bucket: name})
		r.note(fmt.Sprintf("CreateKeyValue(%q)", name), kv, err)
	}
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", History: 65})
	r.note("CreateKeyValue(history 65)", kv, err)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", LimitMarkerTTL: time.Millisecond})
	r.note("CreateKeyValue(marker too short)", kv, err)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", TTL: time.Millisecond})
	r.note("CreateKeyValue(ttl too short)", kv, err)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", Replicas: 3})
	r.note("CreateKeyValue(3 replicas)", kv, err)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", Replicas: 6})
	r.note("CreateKeyValue(6 replicas)", kv, err)
	kv = r.bucket(config{Bucket: "m_a", Description: "first"})
	r.note("Bucket()", kv.Bucket(), nil)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", Description: "first"})
	r.note("CreateKeyValue(same)", kv, err)
	kv, err = js.CreateKeyValue(ctx, config{Bucket: "m_a", History: 2})
	r.note("CreateKeyValue(other)", kv, err)
	kv, err = js.UpdateKeyValue(ctx, config{Bucket: "m_a", History: 3, Description: "second"})
	r.note("UpdateKeyValue", kv, err)
	status, err := kv.Status(ctx)
	r.note("Status after UpdateKeyValue", status, err)
	kv, err = js.UpdateKeyValue(ctx, config{Bucket: "m_none"})
	r.note("UpdateKeyValue(missing)", kv, err)
	kv, err = js.UpdateKeyValue(ctx, config{Bucket: "m.none"})
	r.note("UpdateKeyValue(bad name)", kv, err)
	kv, err = js.UpdateKeyValue(ctx, config{Bucket: "m_a", Storage: jetstream.MemoryStorage})
	r.note("UpdateKeyValue(storage)", kv, err)
	kv, err = js.CreateOrUpdateKeyValue(ctx, config{Bucket: "m_b", History: 2})
	r.note("CreateOrUpdateKeyValue(new)", kv, err)
	kv, err = js.CreateOrUpdateKeyValue(ctx, config{Bucket: "m_b", History: 4})
	r.note("CreateOrUpdateKeyValue(there)", kv, err)
	status, err = kv.Status(ctx)
	r.note("Status after CreateOrUpdateKeyValue", status, err)
	_, err = js.CreateOrUpdateKeyValue(ctx, config{Bucket: "m_b", History: 65})
	r.did("CreateOrUpdateKeyValue(history 65)", err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "KV_m_odd", Subjects: []string{"m.odd"}})
	r.did("CreateStream(KV_m_odd)", err)
	_, err = js.KeyValue(ctx, "m_odd")
	r.did("KeyValue(no bucket)", err)
	r.did("DeleteKeyValue", js.DeleteKeyValue(ctx, "m_b"))
	r.did("DeleteKeyValue(missing)", js.DeleteKeyValue(ctx, "m_b"))
	r.did("DeleteKeyValue(bad name)", js.DeleteKeyValue(ctx, "m.b"))
	r.did("DeleteKeyValue(m_a)", js.DeleteKeyValue(ctx, "m_a"))
	_, err = js.KeyValue(ctx, "m_a")
	r.did("KeyValue(deleted)", err)
	_, err = kv.Get(ctx, "k")
	r.did("Get(deleted bucket)", err)
	_, err = kv.Put(ctx, "k", nil)
	r.did("Put(deleted bucket)", err)
	_, err = kv.Status(ctx)
	r.did("Status(deleted bucket)", err)
}

// buckets sets each option of a bucket and reads it back.
func buckets(r *recorder) {
	for _, one := range []config{
		{Bucket: "b_plain"},
		{Bucket: "b_description", Description: "what it is for"},
		{Bucket: "b_value_size", MaxValueSize: 100},
		{Bucket: "b_history", History: 64},
		{Bucket: "b_ttl", TTL: time.Hour},
		{Bucket: "b_short_ttl", TTL: 100 * time.Second},
		{Bucket: "b_max_bytes", MaxBytes: 4096},
		{Bucket: "b_file", Storage: jetstream.FileStorage},
		{Bucket: "b_memory", Storage: jetstream.MemoryStorage},
		{Bucket: "b_replicas", Replicas: 1},
		{Bucket: "b_placement", Placement: &jetstream.Placement{Cluster: "east", Tags: []string{"ssd", "eu"}}},
		{Bucket: "b_republish", RePublish: &jetstream.RePublish{Source: "$KV.b_republish.>", Destination: "b.copy.>", HeadersOnly: true}},
		{Bucket: "b_compression", Compression: true},
		{Bucket: "b_marker", LimitMarkerTTL: 90 * time.Second},
		{Bucket: "b_metadata", Metadata: map[string]string{"owner": "me", "for": "test"}},
		{Bucket: "b_all", Description: "all", MaxValueSize: 1000, History: 7, TTL: 100 * time.Second, MaxBytes: 1 << 20, Compression: true, LimitMarkerTTL: 2 * time.Second, Metadata: map[string]string{"a": "b"}},
	} {
		kv := r.bucket(one)
		r.put(kv, "k", "v")
		status, err := kv.Status(r.ctx)
		r.note("Status("+one.Bucket+")", status, err)
		bound, err := r.js.KeyValue(r.ctx, one.Bucket)
		r.note("KeyValue("+one.Bucket+")", bound, err)
	}
	kv, err := r.js.CreateKeyValue(r.ctx, config{Bucket: "b_ring", RePublish: &jetstream.RePublish{Source: "$KV.b_ring.>", Destination: "$KV.b_ring.>"}})
	r.note("CreateKeyValue(republish in a ring)", kv, err)
}

// values puts and gets.
func values(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "values", History: 3})
	get := func(key string) {
		entry, err := kv.Get(ctx, key)
		r.note(fmt.Sprintf("Get(%q)", key), entry, err)
	}
	put := func(key string, value []byte) {
		revision, err := kv.Put(ctx, key, value)
		r.note(fmt.Sprintf("Put(%q, %d bytes)", key, len(value)), revision, err)
	}
	get("missing")
	put("k", []byte("one"))
	get("k")
	number, err := kv.PutString(ctx, "k", "zwei, 二")
	r.note("PutString", number, err)
	get("k")
	put("k", nil)
	get("k")
	put("bytes", []byte{0, 1, 2, 254, 255, '\r', '\n'})
	get("bytes")
	put("a.b.c", []byte("nested"))
	get("a.b.c")
	get("a.b")
	put("a/b=c_d-e.F", []byte("odd"))
	get("a/b=c_d-e.F")
	put("large", []byte(strings.Repeat("0123456789", 50_000)))
	get("large")
	put("large", make([]byte, 1<<20+1))
	for _, key := range []string{"", ".a", "a.", "a..b", "a b", "a*", ">", "ä"} {
		put(key, []byte("v"))
		get(key)
		entry, err := kv.GetRevision(ctx, key, 1)
		r.note(fmt.Sprintf("GetRevision(%q)", key), entry, err)
	}
	put("k", []byte("four"))
	for _, number := range []uint64{0, 1, 2, 3, 4, 8, 99} {
		entry, err := kv.GetRevision(ctx, "k", number)
		r.note(fmt.Sprintf("GetRevision(k, %d)", number), entry, err)
	}
	status, err := kv.Status(ctx)
	r.note("Status", status, err)
}

// changes creates, updates, deletes and purges, with and without a revision.
func changes(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "changes", History: 5})
	create := func(call, key string) {
		number, err := kv.Create(ctx, key, []byte(call))
		r.note("Create "+call, number, err)
	}
	update := func(call, key string, last uint64) {
		number, err := kv.Update(ctx, key, []byte(call), last)
		r.note("Update "+call, number, err)
	}
	create("new", "k")
	create("there", "k")
	update("right", "k", 1)
	update("stale", "k", 1)
	update("ahead", "k", 99)
	update("missing", "none", 1)
	update("as create", "other", 0)
	r.did("Delete", kv.Delete(ctx, "k"))
	entry, err := kv.Get(ctx, "k")
	r.note("Get deleted", entry, err)
	entry, err = kv.GetRevision(ctx, "k", 4)
	r.note("GetRevision of the delete", entry, err)
	update("deleted, stale", "k", 2)
	update("deleted", "k", 4)
	r.did("Delete again", kv.Delete(ctx, "k"))
	create("deleted", "k")
	r.did("Delete(LastRevision stale)", kv.Delete(ctx, "k", jetstream.LastRevision(1)))
	r.did("Delete(LastRevision)", kv.Delete(ctx, "k", jetstream.LastRevision(7)))
	r.did("Delete never there", kv.Delete(ctx, "never"))
	r.did("Delete(PurgeTTL)", kv.Delete(ctx, "k", jetstream.PurgeTTL(time.Hour)))
	r.did("Delete bad key", kv.Delete(ctx, "a b"))
	entries, err := kv.History(ctx, "k")
	r.note("History before Purge", entries, err)
	r.did("Purge(LastRevision stale)", kv.Purge(ctx, "k", jetstream.LastRevision(1)))
	r.did("Purge(LastRevision)", kv.Purge(ctx, "k", jetstream.LastRevision(8)))
	entries, err = kv.History(ctx, "k")
	r.note("History after Purge", entries, err)
	entry, err = kv.Get(ctx, "k")
	r.note("Get purged", entry, err)
	create("purged", "k")
	r.did("Purge", kv.Purge(ctx, "k"))
	r.did("Purge again", kv.Purge(ctx, "k"))
	r.did("Purge never there", kv.Purge(ctx, "never2"))
	r.did("Purge(PurgeTTL) without markers", kv.Purge(ctx, "k", jetstream.PurgeTTL(time.Hour)))
	r.did("Purge bad key", kv.Purge(ctx, "a b"))
	number, err := kv.Create(ctx, "t", []byte("v"), jetstream.KeyTTL(time.Hour))
	r.note("Create(KeyTTL) without markers", number, err)
	create("bad key", "a..b")
	update("bad key", "a..b", 0)
	status, err := kv.Status(ctx)
	r.note("Status", status, err)
}

// limits meets the bounds of a bucket.
func limits(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "l_sized", MaxValueSize: 10})
	for _, value := range []string{"0123456789", "0123456789a"} {
		number, err := kv.PutString(ctx, "k", value)
		r.note(fmt.Sprintf("Put %d of 10 bytes", len(value)), number, err)
	}
	number, err := kv.Create(ctx, "k2", []byte("0"))
	r.note("Create counts its header", number, err)
	kv = r.bucket(config{Bucket: "l_bytes", MaxBytes: 150})
	for _, key := range []string{"a", "b", "c", "d", "a"} {
		number, err = kv.PutString(ctx, key, "0123456789")
		r.note("Put "+key+" in 150 bytes", number, err)
	}
	number, err = kv.PutString(ctx, "a", strings.Repeat("0123456789", 4))
	r.note("Put longer in 150 bytes", number, err)
	r.did("Delete in 150 bytes", kv.Delete(ctx, "a"))
	r.did("Purge in 150 bytes", kv.Purge(ctx, "a"))
	status, err := kv.Status(ctx)
	r.note("Status", status, err)
	small := r.bucket(config{Bucket: "l_shrunk", History: 5})
	for i := range 5 {
		r.put(small, "k", fmt.Sprint(i))
	}
	small, err = r.js.UpdateKeyValue(ctx, config{Bucket: "l_shrunk", History: 2})
	r.note("UpdateKeyValue(history 2)", small, err)
	entries, err := small.History(ctx, "k")
	r.note("History after UpdateKeyValue", entries, err)
}

// purgeDeletes clears markers away.
func purgeDeletes(r *recorder) {
	ctx, kv := r.ctx, r.bucket(config{Bucket: "purge_deletes", History: 5})
	fill := func() {
		for _, key := range []string{"a", "b", "c"} {
			r.put(kv, key, "1")
			r.put(kv, key, "2")
		}
		r.did("Delete", kv.Delete(ctx, "a"))
		r.did("Purge", kv.Purge(ctx, "b"))
	}
	look := func(call string, err error) {
		r.did(call, err)
		for _, key := range []string{"a", "b", "c"} {
			entries, err := kv.History(ctx, key)
			r.note("History "+key+" after "+call, entries, err)
		}
		status, err := kv.Status(ctx)
		r.note("Status after "+call, status, err)
	}
	look("PurgeDeletes of nothing", kv.PurgeDeletes(ctx))
	fill()
	look("PurgeDeletes", kv.PurgeDeletes(ctx))
	fill()
	look("PurgeDeletes(an hour)", kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Hour)))
	look("PurgeDeletes(a nanosecond)", kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(1)))
	fill()
	look("PurgeDeletes(any age)", kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)))
}

// wholeServer asks for all there is.
func wholeServer(r *recorder) {
	names := r.js.KeyValueStoreNames(r.ctx)
	r.note("KeyValueStoreNames.Name", strings.Join(drain(names.Name()), " "), nil)
	r.did("KeyValueStoreNames.Error", names.Error())
	stores := r.js.KeyValueStores(r.ctx)
	for _, status := range drain(stores.Status()) {
		r.note("KeyValueStores.Status", status, nil)
	}
	r.did("KeyValueStores.Error", stores.Error())
	streams := r.js.StreamNames(r.ctx)
	r.note("StreamNames", strings.Join(drain(streams.Name()), " "), streams.Err())
	streams = r.js.StreamNames(r.ctx, jetstream.WithStreamListSubject("st.>"))
	r.note("StreamNames(subject)", strings.Join(drain(streams.Name()), " "), streams.Err())
	account, err := r.js.AccountInfo(r.ctx)
	account.API.Total, account.API.Level = 0, 0
	r.note("AccountInfo", account, err)
	lister := r.js.ListStreams(r.ctx)
	for info := range lister.Info() {
		s, err := r.js.Stream(r.ctx, info.Config.Name)
		if err != nil {
			r.did("Stream", err)
			continue
		}
		r.note("ListStreams "+info.Config.Name, info.State, nil)
		var durable, passing []string
		names := s.ConsumerNames(r.ctx)
		for name := range names.Name() {
			if strings.HasSuffix(name, "_2") { // an ordered consumer's, picked by chance
				passing = append(passing, name)
			} else {
				durable = append(durable, name)
			}
		}
		r.note("ConsumerNames", fmt.Sprint(durable, " and ", len(passing), " ordered"), names.Err())
	}
}
