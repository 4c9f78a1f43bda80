// Command interop makes every call of nats.go's key-value API on a server and writes down,
// one line a call, what came back: `case: call -> result`. The same server state gives the
// same lines, so that the lines of two servers can be compared.
//
// The cases run side by side, each on a connection and in buckets of its own; the lines are
// printed in the order of the cases. The cases that look at the whole server run at the end,
// one after the other.
//
// Left out: what may differ between two servers (the reader of the lines masks it).
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type namedCase struct {
	name string
	run  func(*recorder)
}

var cases = []namedCase{
	{"manage", manage},
	{"buckets", buckets},
	{"values", values},
	{"changes", changes},
	{"keys", keys},
	{"history", history},
	{"watch", watch},
	{"watch_options", watchOptions},
	{"watch_live", watchLive},
	{"purge_deletes", purgeDeletes},
	{"markers", markers},
	{"no_markers", noMarkers},
	{"copies", copies},
	{"republish", republish},
	{"limits", limits},
	{"streams", streams},
	{"publish", publish},
	{"fetch", fetch},
	{"acks", acks},
	{"consume", consume},
	{"ordered", ordered},
	{"push", push},
	{"consumers", consumers},
}

var lastCases = []namedCase{{"whole_server", wholeServer}}

func main() {
	url := flag.String("url", "", "the server's address")
	only := flag.String("case", "", "run this case alone")
	authority := flag.String("ca", "", "the file of the authority that signed the server's certificate")
	patience := flag.Int("patience", 30, "how many seconds a case may take")
	flag.Parse()
	most := time.Duration(*patience) * time.Second
	options := []nats.Option{nats.NoReconnect(), nats.Timeout(most)}
	if *authority != "" {
		options = append(options, nats.Secure(trusting(*authority)))
	}
	begin := func(one namedCase) chan []string {
		done := make(chan []string, 1)
		go func() { done <- record(one, *url, most, options) }()
		return done
	}
	show := func(lines []string) { fmt.Println(strings.Join(lines, "\n")) }
	var running []chan []string
	for _, one := range cases {
		if *only == "" || *only == one.name {
			running = append(running, begin(one))
		}
	}
	for _, done := range running {
		show(<-done)
	}
	for _, one := range lastCases {
		if *only == "" || *only == one.name {
			show(<-begin(one))
		}
	}
}

// record runs one case; a case that does not end in time says so in its last line.
func record(one namedCase, url string, patience time.Duration, options []nats.Option) []string {
	connection, err := nats.Connect(url, options...)
	r := &recorder{name: one.name, nc: connection}
	r.note("connect", nil, err)
	if err != nil {
		return r.written()
	}
	defer connection.Close()
	r.js, err = jetstream.New(connection)
	r.note("jetstream.New", nil, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if trouble := recover(); trouble != nil {
				r.note("the case ended early", trouble, nil)
			}
		}()
		one.run(r)
	}()
	select {
	case <-done:
	case <-time.After(patience + time.Second):
		r.note("the case did not end", nil, nil)
	}
	return r.written()
}

func trusting(file string) *tls.Config {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(file)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		fmt.Fprintln(os.Stderr, "no certificate in", file)
		os.Exit(2)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
