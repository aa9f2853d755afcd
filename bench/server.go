package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// candidate is a binary to measure.
type candidate struct {
	name    string
	binary  string
	modules []string // dynamic modules to load
}

// server is a candidate at work on a workload, in a folder of its own.
type server struct {
	dir    string
	listen string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// postScript has wrk send a body of 64 KiB.
const postScript = `wrk.method = "POST"
wrk.body = string.rep("x", 65536)
`

// start returns a server that answers the workload's request with 200.
func start(s *settings, c candidate, w *workload) (*server, error) {
	line := "the quick brown fox jumps over the lazy dog 0123456789\n"
	text := strings.Repeat(line, 16384/len(line)+1)[:16384]
	srv, err := newServer(func(srv *server) error {
		return errors.Join(os.Mkdir(filepath.Join(srv.dir, "www"), 0o755),
			os.WriteFile(filepath.Join(srv.dir, "www", "16k.txt"), []byte(text), 0o644),
			os.WriteFile(filepath.Join(srv.dir, "post.lua"), []byte(postScript), 0o644),
			srv.certificate(),
			srv.configure(w.configuration(c, srv.dir, srv.listen, s.backend)))
	})
	if err != nil {
		return nil, err
	}
	return srv, srv.run(s.serverCPU, c.binary, w.url(srv.listen), w.h2 > 0)
}

// certificate makes cert.pem and key.pem, which nobody else trusts.
func (srv *server) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now(), NotAfter: time.Now().AddDate(0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(srv.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
	}
	return errors.Join(write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret))
}

// newServer makes a folder and finds an address; fill writes the configuration and what else the folder is to have.
func newServer(fill func(srv *server) error) (*server, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	srv := &server{dir: dir, ended: make(chan struct{})}
	srv.listen, err = freeAddress()
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "logs"), 0o755), fill(srv))
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return srv, nil
}

// configure writes the configuration; a server that runs reads it with SIGHUP.
func (srv *server) configure(text string) error {
	return os.WriteFile(filepath.Join(srv.dir, "site.conf"), []byte(text), 0o644)
}

// run starts a binary, on the core given unless that is "", and waits until it answers a request for the URL. After an
// error nothing is left of the server; the error has the first line of what it said.
func (srv *server) run(cpu, binary, url string, h2 bool) error {
	srv.cmd = onCPU(cpu, binary, "-p", srv.dir+"/", "-c", srv.dir+"/site.conf", "-g", "daemon off;")
	output, err := os.Create(filepath.Join(srv.dir, "output"))
	if err == nil {
		srv.cmd.Stdout, srv.cmd.Stderr = output, output
		err = srv.cmd.Start()
		output.Close()
	}
	if err != nil {
		os.RemoveAll(srv.dir)
		return err
	}
	go func() { srv.cmd.Wait(); close(srv.ended) }()
	if err := srv.ready(url, h2); err != nil {
		said, _ := os.ReadFile(filepath.Join(srv.dir, "output"))
		srv.stop()
		return fmt.Errorf("%w: %s", err, firstLine(string(said)))
	}
	return nil
}

// onCPU is a command that keeps to one core, or to none in particular.
func onCPU(cpu string, command ...string) *exec.Cmd {
	if cpu != "" {
		command = append([]string{"taskset", "-c", cpu}, command...)
	}
	return exec.Command(command[0], command[1:]...)
}

// startChild runs this program once more with an argument, as a server behind the one that is measured. It says its
// address, and ends when stop closes its input.
func startChild(cpu, what string) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := onCPU(cpu, self, what)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { in.Close(); cmd.Wait() }
	if _, err := fmt.Fscanln(out, &address); err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

// ready waits until the server answers; an answer other than 200 is an error.
func (srv *server) ready(url string, h2 bool) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		select {
		case <-srv.ended:
			return errors.New("it ended")
		case <-time.After(20 * time.Millisecond):
		}
		r, err := client.Get(url)
		if err != nil {
			continue
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return errors.New("it answers " + r.Status)
		}
		return nil
	}
	return errors.New("it does not answer")
}

func (srv *server) stop() {
	srv.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-srv.ended:
	case <-time.After(5 * time.Second):
		srv.cmd.Process.Kill()
		<-srv.ended
	}
	os.RemoveAll(srv.dir)
}

// listenAsChild is the other end of startChild: it says its address, and the process ends with its input.
func listenAsChild() (net.Listener, error) {
	raiseFiles()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return l, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// sample is one round: microseconds per request, and requests per second.
type sample struct{ user, system, rate float64 }

func (s sample) total() float64 { return s.user + s.system }

// median is taken column by column.
func median(all []sample) sample {
	column := func(of func(sample) float64) float64 {
		var v []float64
		for _, s := range all {
			v = append(v, of(s))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return sample{
		column(func(s sample) float64 { return s.user }),
		column(func(s sample) float64 { return s.system }),
		column(func(s sample) float64 { return s.rate }),
	}
}

// load lets wrk or h2load make requests and reads the processes' CPU time before and after.
func (srv *server) load(s *settings, w *workload) (sample, error) {
	args := []string{"-c", s.wrkAt, "wrk", "-t1", fmt.Sprintf("-c%d", s.connections), fmt.Sprintf("-d%d", s.seconds)}
	if w.h2 > 0 {
		args = []string{"-c", s.wrkAt, "h2load", "-t1", fmt.Sprintf("-c%d", s.connections), fmt.Sprintf("-D%d", s.seconds), fmt.Sprintf("-m%d", w.h2), "-w24", "-W24"}
	}
	for _, a := range w.wrk {
		args = append(args, strings.ReplaceAll(a, "DIR", srv.dir))
	}
	args = append(args, w.url(srv.listen))
	user, system := cpuTime(srv.cmd.Process.Pid)
	out, err := exec.Command("taskset", args...).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", args[2], err)
	}
	userAfter, systemAfter := cpuTime(srv.cmd.Process.Pid)
	n, err := requests(string(out))
	if err != nil {
		return sample{}, err
	}
	return sample{(userAfter - user) * 1e6 / n, (systemAfter - system) * 1e6 / n, n / float64(s.seconds)}, nil
}

var (
	counted   = regexp.MustCompile(`(\d+) requests in|, (\d+) succeeded`)
	h2Failure = regexp.MustCompile(`[1-9]\d* (failed|errored|timeout)\b`)
)

// requests reads how many wrk or h2load made; a run with errors counts for nothing.
func requests(output string) (float64, error) {
	for line := range strings.SplitSeq(output, "\n") {
		if strings.Contains(line, "Non-2xx") || strings.Contains(line, "Socket errors") || strings.HasPrefix(line, "requests:") && h2Failure.MatchString(line) {
			return 0, errors.New(strings.TrimSpace(line))
		}
	}
	m := counted.FindStringSubmatch(output)
	if m == nil {
		return 0, errors.New("the load generator says: " + firstLine(output))
	}
	m[1] += m[2]
	n, err := strconv.ParseFloat(m[1], 64)
	if err == nil && n == 0 {
		err = errors.New("no request was answered")
	}
	return n, err
}

// cpuTime sums user and system seconds of a process and what descends from it.
func cpuTime(pid int) (user, system float64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	user, system = statTimes(string(stat))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		children, _ := os.ReadFile(path)
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				u, s := cpuTime(n)
				user, system = user+u, system+s
			}
		}
	}
	return user, system
}

// statTimes reads fields 14 and 15 of /proc/PID/stat (proc(5)), in hundredths of a second. The name in field 2 may hold
// anything, so counting begins behind its closing bracket.
func statTimes(stat string) (user, system float64) {
	_, rest, _ := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, 0
	}
	u, _ := strconv.ParseFloat(fields[11], 64)
	s, _ := strconv.ParseFloat(fields[12], 64)
	return u / 100, s / 100
}
