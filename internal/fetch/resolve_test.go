package fetch

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sourcegraph/conc"
	"golang.org/x/net/dns/dnsmessage"
)

// resolver asks a name server on loopback that knows the addresses; a name
// with none is answered with the code. It ends with the test.
func resolver(t *testing.T, known map[string][]string, unknown dnsmessage.RCode) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var server conc.WaitGroup
	server.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, client, err := conn.ReadFrom(b)
			if err != nil {
				return // it is closed
			}
			var m dnsmessage.Message
			if err := m.Unpack(b[:n]); err != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			q := m.Questions[0]
			addresses, ok := known[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
			if !ok {
				m.RCode = unknown
			}
			for _, a := range addresses {
				ip := netip.MustParseAddr(a)
				header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch {
				case q.Type == dnsmessage.TypeA && ip.Is4():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
				case q.Type == dnsmessage.TypeAAAA && ip.Is6():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			if packed, err := m.Pack(); err == nil {
				conn.WriteTo(packed, client)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		server.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// TestNames: what becomes of a name is decided by the addresses that it has.
func TestNames(t *testing.T) {
	server := serve(t, says("image/png", aPNG))
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	known := map[string][]string{
		"inside.example": {"127.0.0.1"}, "metadata.example": {"169.254.169.254"},
		"nat.example": {"64:ff9b::7f00:1"}, "mapped.example": {"::ffff:127.0.0.1"}, "both.example": {"10.0.0.1", "127.0.0.1"},
	}
	get := func(host string, allowPrivate bool, unknown dnsmessage.RCode) (Result, error) {
		f := start(t, func(o *Options) { o.AllowPrivate = allowPrivate })
		f.dialer.Resolver = resolver(t, known, unknown)
		return f.Get(t.Context(), "http://"+host+":"+port)
	}
	for _, host := range []string{"inside.example", "INSIDE.example.", "metadata.example", "both.example", "mapped.example"} {
		_, err := get(host, false, dnsmessage.RCodeNameError)
		wantFailure(t, err, Policy, "not public")
	}
	if got, err := get("inside.example", true, dnsmessage.RCodeNameError); err != nil || !bytes.Equal(got.Bytes, aPNG) {
		t.Errorf("got %d bytes, %v", len(got.Bytes), err)
	}
	_, err := get("gone.example", false, dnsmessage.RCodeNameError)
	wantFailure(t, err, Permanent, "there is no such host")
	_, err = get("2130706433", false, dnsmessage.RCodeNameError) // 127.0.0.1 to inet_aton
	wantFailure(t, err, Permanent, "there is no such host")
	_, err = get("busy.example", false, dnsmessage.RCodeServerFailure)
	wantFailure(t, err, Transient, "no answer came: dial tcp: lookup busy.example")
}
