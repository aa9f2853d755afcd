package modules

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"moongate/internal/testkit/cert"
	"moongate/internal/testkit/poll"
	"moongate/internal/testkit/server"
)

// startServer starts a server on a socket of its own and waits until it listens.
func startServer(t *testing.T, argv []string) string {
	path, err := exec.LookPath(argv[0])
	if err != nil && argv[0] == "redis-server" {
		path, err = exec.LookPath("redis-check-rdb") // the same program: what it does depends on its name
	}
	if err != nil {
		t.Skip(argv[0] + " is not installed")
	}
	dir := openDir(t)
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, strings.Split(strings.ReplaceAll(strings.Join(argv[1:], "\n"), "SOCKET", socket), "\n")...)
	cmd.Args[0] = argv[0]
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	up := poll.Until(time.Minute, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if !up {
		t.Fatalf("%s does not listen", argv[0])
	}
	return socket
}

// openDir makes a folder that every account may use; its path is short enough for a socket.
func openDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "mg")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o777)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// nobody is the account that database servers run as when the tests run as root, which they refuse.
const nobody = 65534

// unprivileged makes a command that does not run as root.
func unprivileged(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// A database is a server that runs until the test ends.
type database struct {
	dir  string // for its files and for its socket
	port string
}

// launch starts the server and waits until its log says that it is ready; the error has the log's end. The signal ends it at
// once.
func launch(t testing.TB, cmd *exec.Cmd, last syscall.Signal, logName, ready string) error {
	log, err := os.Create(logName)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(last)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	var text string
	poll.Until(2*time.Minute, func() bool {
		b, _ := os.ReadFile(logName)
		text = string(b)
		select {
		case <-ended:
			return true
		default:
			return strings.Contains(text, ready)
		}
	})
	if !strings.Contains(text, ready) {
		return fmt.Errorf("%s does not start: %s", filepath.Base(cmd.Path), text[max(0, len(text)-600):])
	}
	return nil
}

// account owns the files that servers must read.
func account(path string) {
	if os.Getuid() == 0 {
		os.Chown(path, nobody, nobody)
	}
}

// certificate writes the key and the certificate of localhost, which is its own authority, into a folder.
func certificate(t testing.TB, dir string) {
	cert.Authority(t, nil, "localhost", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }).Write(t, dir, "tls")
	account(filepath.Join(dir, "tls.pem"))
	account(filepath.Join(dir, "tls.key"))
}

// startMariaDB starts MariaDB on a socket only, with TLS, a database test and an account moon with the password secret. It
// gives the reason when there is none.
func startMariaDB(t testing.TB) (*database, string, error) {
	for _, name := range []string{"mariadb-install-db", "/usr/sbin/mariadbd", "my_print_defaults"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, "MariaDB is not installed: build/testdeps gets it", nil
		}
	}
	db := &database{dir: openDir(t)}
	certificate(t, db.dir)
	small := []string{"--datadir=" + filepath.Join(db.dir, "data"), "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M",
		"--innodb-flush-method=nosync", "--innodb-use-native-aio=0", "--innodb-flush-log-at-trx-commit=0"}
	install := unprivileged(db.dir, "mariadb-install-db", append([]string{"--no-defaults", "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve"}, small...)...)
	if out, err := install.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("mariadb-install-db: %v: %s", err, out)
	}
	accounts := filepath.Join(db.dir, "accounts.sql")
	if err := os.WriteFile(accounts, []byte("create database test;\ncreate user moon@localhost identified by 'secret';\ngrant all on test.* to moon@localhost;\n"), 0o644); err != nil {
		return nil, "", err
	}
	server := unprivileged(db.dir, "/usr/sbin/mariadbd", append([]string{"--no-defaults", "--skip-networking", "--socket=" + db.dir + "/s",
		"--pid-file=" + db.dir + "/pid", "--init-file=" + accounts, "--ssl-cert=" + db.dir + "/tls.pem", "--ssl-key=" + db.dir + "/tls.key",
		"--performance-schema=off"}, small...)...)
	return db, "", launch(t, server, syscall.SIGKILL, db.dir+"/log", "ready for connections")
}

// startPostgres starts PostgreSQL on a socket and a port, with TLS and an account moon with the password secret, whose
// database is postgres. It gives the reason when there is none.
func startPostgres(t testing.TB) (*database, string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if found, _ = filepath.Glob("../../.cache/postgresql/usr/lib/postgresql/*/bin/initdb"); len(found) == 0 {
			return nil, "PostgreSQL is not installed: build/testdeps gets it", nil
		}
	}
	bin := filepath.Dir(found[len(found)-1])
	db := &database{dir: openDir(t)}
	certificate(t, db.dir)
	if tree, _, unpacked := strings.Cut(bin, "/usr/lib/postgresql/"); unpacked && tree != "" { // where that account may not reach it
		if err := os.CopyFS(db.dir+"/tree", os.DirFS(tree)); err != nil {
			return nil, "", err
		}
		bin = db.dir + "/tree" + strings.TrimPrefix(bin, tree)
	}
	if err := os.WriteFile(db.dir+"/password", []byte("secret\n"), 0o644); err != nil {
		return nil, "", err
	}
	initdb := unprivileged(db.dir, bin+"/initdb", "-D", db.dir+"/data", "-A", "md5", "-U", "moon", "--pwfile="+db.dir+"/password", "-E", "UTF8", "--locale=C",
		"--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("initdb: %v: %s", err, out)
	}
	var err error
	for range 5 { // somebody else may have taken the port meanwhile
		db.port = freePort(t)
		server := unprivileged(db.dir, bin+"/postgres", "-D", db.dir+"/data", "-k", db.dir, "-p", db.port, "-c", "listen_addresses=127.0.0.1",
			"-c", "ssl=on", "-c", "ssl_cert_file="+db.dir+"/tls.pem", "-c", "ssl_key_file="+db.dir+"/tls.key", "-c", "fsync=off",
			"-c", "max_connections=20", "-c", "shared_buffers=4MB", "-c", "dynamic_shared_memory_type=mmap")
		if err = launch(t, server, syscall.SIGQUIT, db.dir+"/log", "ready to accept connections"); err == nil || !strings.Contains(err.Error(), "in use") {
			break
		}
	}
	return db, "", err
}

var ports server.Ports

// freePort is one that nobody listens on just now, and that stays the test's.
func freePort(t testing.TB) string {
	port, err := ports.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Put(port) })
	return strconv.Itoa(port)
}
