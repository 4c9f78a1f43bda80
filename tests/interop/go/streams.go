package main

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stream makes a stream with some messages; the case can't go on without it.
func (r *recorder) stream(name string, messages int) jetstream.Stream {
	s, err := r.js.CreateStream(r.ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}})
	r.did("CreateStream("+name+")", err)
	for i := range messages {
		if _, err := r.js.Publish(r.ctx, fmt.Sprintf("%s.%d", name, i%3), fmt.Append(nil, i)); err != nil {
			panic(err)
		}
	}
	return s
}

func (r *recorder) info(call string, s jetstream.Stream, options ...jetstream.StreamInfoOpt) {
	info, err := s.Info(r.ctx, options...)
	if err != nil {
		r.did("Info "+call, err)
		return
	}
	r.note("Info "+call, map[string]any{
		"config": info.Config, "state": info.State, "mirror": info.Mirror != nil,
		"sources": len(info.Sources), "created": info.Created,
	}, nil)
}

// copies fills buckets from other buckets.
func copies(r *recorder) {
	ctx, origin := r.ctx, r.bucket(config{Bucket: "c_origin", History: 3})
	r.put(origin, "k", "1")
	r.put(origin, "j", "1")
	mirror := r.bucket(config{Bucket: "c_mirror", History: 3, Mirror: &jetstream.StreamSource{Name: "c_origin"}})
	gathered := r.bucket(config{Bucket: "c_gathered", History: 3, Sources: []*jetstream.StreamSource{{Name: "c_origin"}}})
	turned := r.bucket(config{Bucket: "c_turned", Sources: []*jetstream.StreamSource{{
		Name: "KV_c_origin", FilterSubject: "",
		SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "$KV.c_origin.*", Destination: "$KV.c_turned.x.{{wildcard(1)}}"}},
	}}})
	r.put(origin, "k", "2")
	r.did("Delete", origin.Delete(ctx, "j"))
	for _, one := range []jetstream.KeyValue{mirror, gathered, turned} {
		wanted := uint64(4)
		if one == turned {
			wanted = 2
		}
		r.until("the copy is whole", func() bool {
			status, err := one.Status(ctx)
			return err == nil && status.Values() == wanted
		})
		for _, key := range []string{"k", "j", "x.k"} {
			entry, err := one.Get(ctx, key)
			r.note("Get "+key+" of "+one.Bucket(), entry, err)
		}
		entries, err := one.History(ctx, ">")
		r.note("History of "+one.Bucket(), entries, err)
		status, err := one.Status(ctx)
		r.note("Status of "+one.Bucket(), status, err)
		bound, err := r.js.KeyValue(ctx, one.Bucket())
		r.note("KeyValue "+one.Bucket(), bound, err)
	}
	number, err := mirror.PutString(ctx, "k", "through the mirror")
	r.note("Put through the mirror", number, err)
	// On nats-server a mirror may answer for the origin, and be behind.
	r.until("whoever answers for the origin has it", func() bool {
		entry, err := origin.Get(ctx, "k")
		return err == nil && entry.Revision() == number
	})
	_, err = r.js.CreateKeyValue(ctx, config{Bucket: "c_lost", Mirror: &jetstream.StreamSource{Name: "c_none"}})
	r.did("CreateKeyValue(mirror of nothing)", err)
	_, err = r.js.CreateKeyValue(ctx, config{Bucket: "c_self", Mirror: &jetstream.StreamSource{Name: "c_self"}})
	r.did("CreateKeyValue(mirror of itself)", err)
}

// republish hears of each write on another subject.
func republish(r *recorder) {
	for _, bare := range []bool{false, true} {
		name := fmt.Sprintf("r_%t", bare)
		heard, err := r.nc.SubscribeSync("copied." + name + ".>")
		r.did("SubscribeSync", err)
		r.did("Flush", r.nc.Flush())
		kv := r.bucket(config{Bucket: name, RePublish: &jetstream.RePublish{
			Source: "$KV." + name + ".>", Destination: "copied." + name + ".>", HeadersOnly: bare,
		}})
		r.put(kv, "k", "1")
		r.put(kv, "k", "two")
		r.did("Delete", kv.Delete(r.ctx, "k"))
		for range 3 {
			message, err := heard.NextMsgWithContext(r.ctx)
			if err != nil {
				r.did("NextMsg", err)
				continue
			}
			message.Header.Del("Nats-Time-Stamp")
			r.note("NextMsg", fmt.Sprintf("%s %q %s", message.Subject, message.Data, plain(message.Header)), nil)
		}
	}
}

// streams makes, changes, reads and empties streams.
func streams(r *recorder) {
	ctx, js := r.ctx, r.js
	s := r.stream("st", 6)
	r.info("", s)
	r.info("with subjects", s, jetstream.WithSubjectFilter(">"))
	raw, err := s.GetMsg(ctx, 2)
	r.note("GetMsg", raw, err)
	raw, err = s.GetMsg(ctx, 99)
	r.note("GetMsg missing", raw, err)
	raw, err = s.GetMsg(ctx, 2, jetstream.WithGetMsgSubject("st.0"))
	r.note("GetMsg next of subject", raw, err)
	raw, err = s.GetLastMsgForSubject(ctx, "st.1")
	r.note("GetLastMsgForSubject", raw, err)
	raw, err = s.GetLastMsgForSubject(ctx, "st.none")
	r.note("GetLastMsgForSubject missing", raw, err)
	r.did("DeleteMsg", s.DeleteMsg(ctx, 2))
	r.did("DeleteMsg again", s.DeleteMsg(ctx, 2))
	r.did("SecureDeleteMsg", s.SecureDeleteMsg(ctx, 3))
	r.info("with deleted", s, jetstream.WithDeletedDetails(true))
	r.did("Purge(subject, keep)", s.Purge(ctx, jetstream.WithPurgeSubject("st.0"), jetstream.WithPurgeKeep(1)))
	r.did("Purge(sequence)", s.Purge(ctx, jetstream.WithPurgeSequence(5)))
	r.did("Purge(sequence, keep)", s.Purge(ctx, jetstream.WithPurgeSequence(5), jetstream.WithPurgeKeep(1)))
	r.info("after purges", s)
	r.did("Purge", s.Purge(ctx))
	r.info("empty", s)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "st", Subjects: []string{"st.>"}, MaxMsgs: 5})
	r.did("CreateStream(other)", err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "st2", Subjects: []string{"st.a"}})
	r.did("CreateStream(overlap)", err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "st.2"})
	r.did("CreateStream(bad name)", err)
	s, err = js.UpdateStream(ctx, jetstream.StreamConfig{Name: "st", Subjects: []string{"st.>"}, MaxMsgs: 2, Discard: jetstream.DiscardNew})
	r.did("UpdateStream", err)
	for i := range 3 {
		_, err = js.Publish(ctx, "st.full", fmt.Append(nil, i))
		r.did("Publish", err)
	}
	_, err = js.UpdateStream(ctx, jetstream.StreamConfig{Name: "st_none", Subjects: []string{"st9.>"}})
	r.did("UpdateStream(missing)", err)
	_, err = js.Stream(ctx, "st_none")
	r.did("Stream(missing)", err)
	name, err := js.StreamNameBySubject(ctx, "st.a")
	r.note("StreamNameBySubject", name, err)
	name, err = js.StreamNameBySubject(ctx, "nobody.listens")
	r.note("StreamNameBySubject(none)", name, err)
	r.did("DeleteStream", js.DeleteStream(ctx, "st"))
	r.did("DeleteStream again", js.DeleteStream(ctx, "st"))
	_, err = s.Info(ctx)
	r.did("Info of deleted", err)
	_, err = js.Publish(ctx, "st.a", nil)
	r.did("Publish to nobody", err)
}

// publish uses each option of a publish.
func publish(r *recorder) {
	ctx, js := r.ctx, r.js
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "pub", Subjects: []string{"pub.>"}, AllowMsgTTL: true, AllowRollup: true})
	r.did("CreateStream", err)
	send := func(call string, options ...jetstream.PublishOpt) {
		ack, err := js.Publish(ctx, "pub.a", []byte(call), options...)
		r.note("Publish "+call, ack, err)
	}
	send("plain")
	send("id", jetstream.WithMsgID("one"))
	send("id again", jetstream.WithMsgID("one"))
	send("stream", jetstream.WithExpectStream("pub"))
	send("other stream", jetstream.WithExpectStream("other"))
	send("last sequence", jetstream.WithExpectLastSequence(3))
	send("wrong last sequence", jetstream.WithExpectLastSequence(1))
	send("last id", jetstream.WithMsgID("two"))
	send("right last id", jetstream.WithExpectLastMsgID("two"))
	send("wrong last id", jetstream.WithExpectLastMsgID("one"))
	send("last of subject", jetstream.WithExpectLastSequencePerSubject(6))
	send("wrong last of subject", jetstream.WithExpectLastSequencePerSubject(1))
	send("of another subject", jetstream.WithExpectLastSequenceForSubject(0, "pub.none"))
	send("ttl", jetstream.WithMsgTTL(time.Hour))
	send("short ttl", jetstream.WithMsgTTL(time.Millisecond))
	for _, rollup := range []string{"sub", "all", "foo"} {
		message := nats.NewMsg("pub.a")
		message.Header.Set("Nats-Rollup", rollup)
		message.Header.Set("My-Header", "kept")
		ack, err := js.PublishMsg(ctx, message)
		r.note("PublishMsg rollup "+rollup, ack, err)
	}
	future, err := js.PublishAsync("pub.b", []byte("later"))
	r.did("PublishAsync", err)
	select {
	case ack := <-future.Ok():
		r.note("PublishAsync.Ok", ack, nil)
	case err = <-future.Err():
		r.did("PublishAsync.Err", err)
	case <-ctx.Done():
		r.did("PublishAsync", ctx.Err())
	}
	s, err := js.Stream(ctx, "pub")
	r.did("Stream", err)
	r.info("", s)
	raw, err := s.GetLastMsgForSubject(ctx, "pub.a")
	r.note("GetLastMsgForSubject", raw, err)
}
