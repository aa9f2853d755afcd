#!/bin/sh
# Makes a certificate authority, and certificates for the service and for the gateway, in this folder.
set -eu
cd "$(dirname "$0")"
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# shellcheck disable=SC2086
{
	openssl req -x509 $new -days 365 -subj /CN=example-ca -keyout ca.key -out ca.crt
	for name in orders gateway; do
		openssl req $new -subj "/CN=$name.internal" -addext "subjectAltName=DNS:$name.internal" -keyout $name.key -out $name.csr
		openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -copy_extensions copy -out $name.crt
		rm $name.csr
	done
} 2>/dev/null
