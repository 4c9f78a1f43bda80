package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type consumerConfig = jetstream.ConsumerConfig

func (r *recorder) about(call string, info *jetstream.ConsumerInfo, err error) {
	if err != nil {
		r.did(call, err)
		return
	}
	r.note(call, map[string]any{
		"name": info.Name, "config": info.Config, "delivered": info.Delivered,
		"ack_floor": info.AckFloor, "ack_pending": info.NumAckPending, "pending": info.NumPending,
		"waiting": info.NumWaiting, "redelivered": info.NumRedelivered, "paused": info.Paused,
		"push_bound": info.PushBound,
	}, nil)
}

func (r *recorder) batch(call string, batch jetstream.MessageBatch, err error) []jetstream.Msg {
	if err != nil {
		r.did(call, err)
		return nil
	}
	messages := drain(batch.Messages())
	for _, message := range messages {
		r.note(call, message, nil)
	}
	r.did(fmt.Sprintf("%s ended after %d", call, len(messages)), batch.Error())
	return messages
}

// fetch pulls batches.
func fetch(r *recorder) {
	ctx, s := r.ctx, r.stream("fetch", 10)
	c, err := s.CreateConsumer(ctx, consumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	r.did("CreateConsumer", err)
	batch, err := c.Fetch(3)
	for _, message := range r.batch("Fetch(3)", batch, err) {
		r.did("DoubleAck", message.DoubleAck(ctx))
	}
	batch, err = c.FetchNoWait(5)
	r.batch("FetchNoWait(5)", batch, err)
	info, err := c.Info(ctx)
	r.about("Info", info, err)
	batch, err = c.FetchBytes(90)
	r.batch("FetchBytes(90)", batch, err)
	batch, err = c.FetchBytes(5, jetstream.FetchMaxWait(200*time.Millisecond))
	r.batch("FetchBytes(5)", batch, err)
	message, err := c.Next(jetstream.FetchMaxWait(time.Second))
	r.note("Next", message, err)
	batch, err = c.FetchNoWait(5)
	r.batch("FetchNoWait(none left)", batch, err)
	batch, err = c.Fetch(5, jetstream.FetchMaxWait(100*time.Millisecond))
	r.batch("Fetch(none left)", batch, err)
	info, err = c.Info(ctx)
	r.about("Info at the end", info, err)
	batch, err = c.Fetch(0)
	r.batch("Fetch(0)", batch, err)
}

// acks answers in each way. One message is out at a time, so that nothing overtakes an answer.
func acks(r *recorder) {
	ctx, s := r.ctx, r.stream("acks", 6)
	c, err := s.CreateConsumer(ctx, consumerConfig{
		Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3, AckWait: time.Minute, MaxAckPending: 1,
	})
	r.did("CreateConsumer", err)
	next := func(call string) jetstream.Msg {
		message, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
		r.note("Next "+call, message, err)
		if err != nil {
			panic("no message")
		}
		return message
	}
	r.did("Ack", next("to Ack").Ack())
	r.did("DoubleAck", next("to DoubleAck").DoubleAck(ctx))
	message := next("to Nak")
	r.did("Nak", message.Nak())
	r.did("Nak again", message.Nak())
	r.did("Ack of naked", message.Ack())
	r.did("NakWithDelay", next("after Nak").NakWithDelay(50*time.Millisecond))
	message = next("after NakWithDelay")
	r.did("InProgress", message.InProgress())
	r.did("Ack", message.Ack())
	r.did("Term", next("to Term").Term())
	r.did("TermWithReason", next("to TermWithReason").TermWithReason("no good"))
	r.did("DoubleAck", next("last").DoubleAck(ctx))
	info, err := c.Info(ctx)
	r.about("Info", info, err)
	c, err = s.CreateConsumer(ctx, consumerConfig{Durable: "all", AckPolicy: jetstream.AckAllPolicy})
	r.did("CreateConsumer(ack all)", err)
	batch, err := c.Fetch(4)
	messages := r.batch("Fetch(4)", batch, err)
	r.did("DoubleAck of all", messages[3].DoubleAck(ctx))
	info, err = c.Info(ctx)
	r.about("Info of ack all", info, err)
	c, err = s.CreateConsumer(ctx, consumerConfig{Durable: "none", AckPolicy: jetstream.AckNonePolicy, FilterSubject: "acks.1"})
	r.did("CreateConsumer(ack none)", err)
	batch, err = c.FetchNoWait(4)
	r.batch("FetchNoWait(4)", batch, err)
	info, err = c.Info(ctx)
	r.about("Info of ack none", info, err)
}

// consume goes on until it is stopped.
func consume(r *recorder) {
	ctx, s := r.ctx, r.stream("consume", 25)
	c, err := s.CreateConsumer(ctx, consumerConfig{Durable: "d", FilterSubjects: []string{"consume.0", "consume.2"}})
	r.did("CreateConsumer", err)
	found := make(chan string, 100)
	consuming, err := c.Consume(func(message jetstream.Msg) {
		about, _ := message.Metadata()
		found <- fmt.Sprintf("%s=%s@%d", message.Subject(), message.Data(), about.Sequence.Stream)
		_ = message.DoubleAck(ctx)
	}, jetstream.PullMaxMessages(4))
	r.did("Consume", err)
	var all []string
	for len(all) < 17 {
		select {
		case one := <-found:
			all = append(all, one)
		case <-ctx.Done():
			panic("nothing more came")
		}
	}
	consuming.Drain()
	<-consuming.Closed()
	r.note("Consume", strings.Join(all, " "), nil)
	r.until("the last ack is in", func() bool {
		info, err := c.Info(ctx)
		return err == nil && info.NumAckPending == 0
	})
	messages, err := c.Messages()
	r.did("Messages", err)
	if _, err = r.js.Publish(ctx, "consume.0", []byte("late")); err != nil {
		panic(err)
	}
	message, err := messages.Next()
	r.note("Messages.Next", message, err)
	messages.Stop()
	_, err = messages.Next()
	r.did("Messages.Next after Stop", err)
}

// ordered reads a stream in order, without acks.
func ordered(r *recorder) {
	ctx, s := r.ctx, r.stream("ordered", 8)
	for _, one := range []struct {
		name   string
		config jetstream.OrderedConsumerConfig
	}{
		{"all", jetstream.OrderedConsumerConfig{}},
		{"filtered", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"ordered.1"}}},
		{"from a sequence", jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 5}},
		{"last per subject", jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}},
		{"headers only", jetstream.OrderedConsumerConfig{HeadersOnly: true}},
	} {
		c, err := s.OrderedConsumer(ctx, one.config)
		r.did("OrderedConsumer "+one.name, err)
		batch, err := c.FetchNoWait(20)
		r.batch("FetchNoWait "+one.name, batch, err)
	}
	_, err := r.js.OrderedConsumer(ctx, "no_stream", jetstream.OrderedConsumerConfig{})
	r.did("OrderedConsumer(no stream)", err)
}

// push has messages sent to it.
func push(r *recorder) {
	ctx, s := r.ctx, r.stream("push", 4)
	c, err := s.CreatePushConsumer(ctx, consumerConfig{
		Durable: "d", DeliverSubject: "push_here", AckPolicy: jetstream.AckExplicitPolicy, IdleHeartbeat: time.Second, FlowControl: true,
	})
	r.did("CreatePushConsumer", err)
	found := make(chan jetstream.Msg, 100)
	consuming, err := c.Consume(func(message jetstream.Msg) { found <- message })
	r.did("Consume", err)
	for range 4 {
		select {
		case message := <-found:
			r.note("pushed", message, nil)
			r.did("DoubleAck", message.DoubleAck(ctx))
		case <-ctx.Done():
			panic("nothing more came")
		}
	}
	info, err := c.Info(ctx)
	r.about("Info", info, err)
	consuming.Stop()
	_, err = s.Consumer(ctx, "d")
	r.did("Consumer(push)", err)
}

// consumers makes, changes, pauses, lists and removes consumers.
func consumers(r *recorder) {
	ctx, s := r.ctx, r.stream("cons", 3)
	add := func(call string, config consumerConfig) {
		c, err := s.CreateConsumer(ctx, config)
		if err != nil {
			r.did("CreateConsumer "+call, err)
			return
		}
		r.about("CreateConsumer "+call, c.CachedInfo(), nil)
	}
	add("plain", consumerConfig{Durable: "plain"})
	add("same", consumerConfig{Durable: "plain"})
	add("other", consumerConfig{Durable: "plain", AckPolicy: jetstream.AckNonePolicy})
	add("bad name", consumerConfig{Durable: "a.b"})
	add("start", consumerConfig{Durable: "start", DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 2})
	add("no start", consumerConfig{Durable: "no_start", DeliverPolicy: jetstream.DeliverByStartSequencePolicy})
	add("both filters", consumerConfig{Durable: "both", FilterSubject: "cons.1", FilterSubjects: []string{"cons.2"}})
	add("overlapping filters", consumerConfig{Durable: "over", FilterSubjects: []string{"cons.1", "cons.*"}})
	add("empty filter", consumerConfig{Durable: "empty", FilterSubjects: []string{"cons.1", ""}})
	add("backoff", consumerConfig{Durable: "backoff", MaxDeliver: 4, BackOff: []time.Duration{time.Second, time.Minute}})
	add("backoff too long", consumerConfig{Durable: "backoff2", MaxDeliver: 1, BackOff: []time.Duration{time.Second, time.Minute}})
	add("all options", consumerConfig{
		Durable: "options", Description: "all", AckWait: time.Minute, MaxAckPending: 7, MaxWaiting: 3, MaxRequestBatch: 5,
		MaxRequestExpires: time.Minute, MaxRequestMaxBytes: 1000, InactiveThreshold: time.Hour, HeadersOnly: true, MemoryStorage: true,
		SampleFrequency: "50%", Metadata: map[string]string{"a": "b"}, ReplayPolicy: jetstream.ReplayInstantPolicy,
	})
	c, err := s.UpdateConsumer(ctx, consumerConfig{Durable: "plain", Description: "changed", AckPolicy: jetstream.AckExplicitPolicy})
	r.did("UpdateConsumer", err)
	info, err := c.Info(ctx)
	r.about("Info after UpdateConsumer", info, err)
	_, err = s.UpdateConsumer(ctx, consumerConfig{Durable: "none"})
	r.did("UpdateConsumer(missing)", err)
	_, err = s.CreateOrUpdateConsumer(ctx, consumerConfig{Durable: "plain", MaxAckPending: 5, AckPolicy: jetstream.AckExplicitPolicy})
	r.did("CreateOrUpdateConsumer", err)
	paused, err := s.PauseConsumer(ctx, "plain", time.Now().Add(time.Hour))
	r.note("PauseConsumer", paused != nil && paused.Paused, err)
	c, err = s.Consumer(ctx, "plain")
	r.did("Consumer", err)
	_, err = c.Next(jetstream.FetchMaxWait(100 * time.Millisecond))
	r.note("Next while paused", errors.Is(err, context.DeadlineExceeded) || err != nil, nil)
	paused, err = s.ResumeConsumer(ctx, "plain")
	r.note("ResumeConsumer", paused != nil && paused.Paused, err)
	message, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
	r.note("Next after ResumeConsumer", message, err)
	names := s.ConsumerNames(ctx)
	r.note("ConsumerNames", strings.Join(drain(names.Name()), " "), names.Err())
	lister := s.ListConsumers(ctx)
	for info := range lister.Info() {
		r.note("ListConsumers", info.Name, nil)
	}
	r.did("ListConsumers", lister.Err())
	_, err = s.Consumer(ctx, "none")
	r.did("Consumer(missing)", err)
	r.did("DeleteConsumer", s.DeleteConsumer(ctx, "plain"))
	r.did("DeleteConsumer again", s.DeleteConsumer(ctx, "plain"))
	_, err = r.js.CreateConsumer(ctx, "no_stream", consumerConfig{Durable: "d"})
	r.did("CreateConsumer(no stream)", err)
}
