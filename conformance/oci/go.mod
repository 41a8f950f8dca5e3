module strata/conformance/oci

go 1.26.2

tool github.com/opencontainers/runtime-tools/cmd/runtimetest

// The newest whose programs for linux.resources.pids compare numbers: since runtime-spec 1.3 made the
// limit a pointer (runtime-tools of November 2025), they compare addresses, and no runtime passes.
require github.com/opencontainers/runtime-tools v0.9.1-0.20250523060157-0ea5ed0382a2

require (
	github.com/hashicorp/errwrap v1.0.0 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/mndrix/tap-go v0.0.0-20171203230836-629fa407e90b // indirect
	github.com/moby/sys/capability v0.4.0 // indirect
	github.com/moby/sys/mountinfo v0.7.2 // indirect
	github.com/opencontainers/runtime-spec v1.1.0 // indirect
	github.com/opencontainers/selinux v1.9.1 // indirect
	github.com/sirupsen/logrus v1.8.1 // indirect
	github.com/urfave/cli v1.19.1 // indirect
	golang.org/x/sys v0.1.0 // indirect
)
