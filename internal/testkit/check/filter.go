package check

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// namedFilter runs one of the known response body filters.
func namedFilter(name, body string) (string, error) {
	switch name {
	case "md5_hex":
		sum := md5.Sum([]byte(body))
		return hex.EncodeToString(sum[:]), nil
	case "sha1_hex":
		sum := sha1.Sum([]byte(body))
		return hex.EncodeToString(sum[:]), nil
	case "uc":
		return strings.ToUpper(body), nil
	case "lc":
		return strings.ToLower(body), nil
	case "ucfirst":
		return strings.ToUpper(body[:min(1, len(body))]) + body[min(1, len(body)):], nil
	case "lcfirst":
		return strings.ToLower(body[:min(1, len(body))]) + body[min(1, len(body)):], nil
	case "length":
		return strconv.Itoa(len(body)), nil
	}
	return "", fmt.Errorf("unknown filter %q in section response_body_filters", name)
}
