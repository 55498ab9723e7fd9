// Command main checks proof files with Go's note and tlog packages, which share no code with the
// product. It knows C2SP's formats, the policy file that `piaolian network keys` prints, and where
// the leaf stands in a proof's extra data; what the leaf means is not its concern.
//
//	main POLICY PROOF...
//
// It prints a line a file: "ok <index> <size> <cosigners>", or "no <reason>".
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A cosigner verifies timestamped cosignatures (c2sp.org/tlog-cosignature), which note has not.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, msg)
	return ed25519.Verify(c.key, []byte(message), sig[8:])
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed vkey")
	}
	material, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(material) != 1+ed25519.PublicKeySize || material[0] != 4 {
		return nil, errors.New("no vkey of a cosigner")
	}
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), material...))
	hash := binary.BigEndian.Uint32(digest[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, errors.New("vkey has another hash")
	}
	return &cosigner{parts[0], hash, ed25519.PublicKey(material[1:])}, nil
}

type policy struct {
	origin    string
	verifiers note.Verifiers
	cosigners map[string]bool
	needed    int
}

func readPolicy(text string) (*policy, error) {
	p := &policy{cosigners: map[string]bool{}}
	var all []note.Verifier
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "log":
			verifier, err := note.NewVerifier(words[1])
			if err != nil {
				return nil, err
			}
			p.origin = verifier.Name()
			all = append(all, verifier)
		case "witness":
			verifier, err := newCosigner(words[2])
			if err != nil {
				return nil, err
			}
			p.cosigners[verifier.Name()] = true
			all = append(all, verifier)
		case "group":
			needed, err := strconv.Atoi(words[2])
			if err != nil {
				return nil, err
			}
			p.needed = needed
		}
	}
	p.verifiers = note.VerifierList(all...)
	return p, nil
}

type proof struct {
	extra []byte
	index int64
	path  tlog.RecordProof
	note  []byte
}

func readProof(data []byte) (*proof, error) {
	// A scanner with its own limit of a line, as many tools have: 64 KiB.
	scanner := bufio.NewScanner(bytes.NewReader(data))
	if !scanner.Scan() || scanner.Text() != "c2sp.org/tlog-proof@v1" {
		return nil, errors.New("no proof")
	}
	p := &proof{index: -1}
	for scanner.Scan() && scanner.Text() != "" {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "extra ") && p.index < 0:
			piece, err := base64.StdEncoding.DecodeString(line[len("extra "):])
			if err != nil {
				return nil, err
			}
			p.extra = append(p.extra, piece...)
		case strings.HasPrefix(line, "index ") && p.index < 0:
			index, err := strconv.ParseInt(line[len("index "):], 10, 64)
			if err != nil {
				return nil, err
			}
			p.index = index
		default:
			hash, err := tlog.ParseHash(line)
			if err != nil {
				return nil, err
			}
			p.path = append(p.path, hash)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	start := bytes.Index(data, []byte("\n\n"))
	if start < 0 || p.index < 0 {
		return nil, errors.New("proof has no index or no checkpoint")
	}
	p.note = data[start+2:]
	return p, nil
}

// leafOf returns the first element of a MessagePack array of three, a byte string.
func leafOf(extra []byte) ([]byte, error) {
	size, rest := 0, []byte(nil)
	switch {
	case len(extra) > 3 && extra[0] == 0x93 && extra[1] == 0xc4:
		size, rest = int(extra[2]), extra[3:]
	case len(extra) > 4 && extra[0] == 0x93 && extra[1] == 0xc5:
		size, rest = int(binary.BigEndian.Uint16(extra[2:])), extra[4:]
	default:
		return nil, errors.New("extra data holds no leaf")
	}
	if size > len(rest) {
		return nil, errors.New("leaf ends too early")
	}
	return rest[:size], nil
}

func check(p *policy, data []byte) (string, error) {
	proof, err := readProof(data)
	if err != nil {
		return "", err
	}
	signed, err := note.Open(proof.note, p.verifiers)
	if err != nil {
		return "", err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != p.origin {
		return "", errors.New("checkpoint of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return "", err
	}
	var log bool
	cosigned := map[string]bool{}
	for _, sig := range signed.Sigs {
		log = log || sig.Name == p.origin
		if p.cosigners[sig.Name] {
			cosigned[sig.Name] = true
		}
	}
	if !log || len(cosigned) < p.needed {
		return "", errors.New("quorum is not reached")
	}
	leaf, err := leafOf(proof.extra)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckRecord(proof.path, size, root, proof.index, tlog.RecordHash(leaf)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d %d", proof.index, size, len(cosigned)), nil
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	p, err := readPolicy(string(text))
	if err != nil {
		panic(err)
	}
	for _, name := range os.Args[2:] {
		data, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		if verdict, err := check(p, data); err != nil {
			fmt.Println("no", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", verdict)
		}
	}
}
