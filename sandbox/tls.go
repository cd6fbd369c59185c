package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
)

// PayPay's own SDKs speak HTTPS only, our adapter is given an http address: the PayPay port takes both, by looking at a
// connection's first byte.

// tlsHandshake is the first byte of a TLS connection; no HTTP method begins with it.
const tlsHandshake = 0x16

type eitherListener struct {
	net.Listener
	tls *tls.Config
}

// newEitherListener makes the listener; its certificate, which signs itself, is kept as tls.pem in the folder, so that a
// client can be told to trust it.
func newEitherListener(plain net.Listener, dir string, now clock.Clock) (*eitherListener, error) {
	certificate, err := certificateIn(dir, now)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &eitherListener{plain, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}}, nil
}

func (l *eitherListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: c, first: bufio.NewReader(c), tls: l.tls}, nil
}

// eitherConn decides at its first read, so that a silent peer does not hold up the listener.
type eitherConn struct {
	net.Conn
	first *bufio.Reader
	tls   *tls.Config
	once  sync.Once
	inner net.Conn
}

func (c *eitherConn) decide() {
	var plain net.Conn = bufferedConn{c.Conn, c.first}
	c.inner = plain
	if b, err := c.first.Peek(1); err == nil && b[0] == tlsHandshake {
		c.inner = tls.Server(plain, c.tls)
	}
}

func (c *eitherConn) Read(p []byte) (int, error) {
	c.once.Do(c.decide)
	return c.inner.Read(p)
}

func (c *eitherConn) Write(p []byte) (int, error) {
	c.once.Do(c.decide)
	return c.inner.Write(p)
}

// SetLinger is that of the TCP connection below: a fault resets connections.
func (c *eitherConn) SetLinger(seconds int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}

type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func certificateIn(dir string, now clock.Clock) (tls.Certificate, error) {
	path := filepath.Join(dir, "tls.pem")
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if kept, err = newCertificate(now()); err == nil {
			err = os.WriteFile(path, kept, 0o600)
		}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(kept, kept)
}

func newCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "MPAC sandbox"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(20, 0, 0), // the platform's clock may be moved
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}
