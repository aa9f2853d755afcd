package core

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Account is whom the workers serve as.
type Account struct {
	Name     string
	UID, GID int
	Groups   []int // all of the account's, GID among them
}

// lookup finds an account and a group. The errors are nginx's texts.
func lookup(name, group string) (*Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("getpwnam(\"%s\") failed", name)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return nil, fmt.Errorf("getgrnam(\"%s\") failed", group)
	}
	a := &Account{Name: name}
	a.UID, _ = strconv.Atoi(u.Uid)
	a.GID, _ = strconv.Atoi(g.Gid)
	a.Groups = []int{a.GID}
	ids, _ := u.GroupIds()
	for _, id := range ids {
		// The primary group of the account is not among those it serves with
		// when the directive names another.
		if n, err := strconv.Atoi(id); err == nil && n != a.GID && id != u.Gid {
			a.Groups = append(a.Groups, n)
		}
	}
	return a, nil
}

// defaultUser is nobody, for root; its group has two names in the wild.
func (c *Config) defaultUser() (err error) {
	if c.userSet || os.Geteuid() != 0 {
		return nil
	}
	if c.User, err = lookup("nobody", "nobody"); err != nil {
		c.User, err = lookup("nobody", "nogroup")
	}
	return err
}

// Assume makes the whole process the account's, for good. On failure op names
// the call.
func (a *Account) Assume() (op string, err error) {
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Sprintf("setgid(%d)", a.GID), err
	}
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Sprintf("initgroups(%s, %d)", a.Name, a.GID), err
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Sprintf("setuid(%d)", a.UID), err
	}
	return "", nil
}
