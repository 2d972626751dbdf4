package datapath

import (
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/bpf"
)

// translationsAtOnce is MAX_TRANSLATIONS of bpf/fovea.h.
const translationsAtOnce = 16

// Translate asks the kernel's connection tracking about connections, by the
// addresses, ports and protocol that are set, and sets the rest of those that it
// finds. A connection can be found once its first packet has gone through the
// node. It is for one goroutine. If the kernel cannot be asked nothing is found,
// which the log tells once.
//
// One call of the kernel serves several connections: a look-up is then some
// 100 ns, where asking by netlink is some microseconds.
func (d *Datapath) Translate(list []bpf.FoveaTranslation) {
	for len(list) > 0 && d.translate != nil {
		some := list[:min(len(list), translationsAtOnce)]
		list = list[len(some):]
		size := len(some) * int(unsafe.Sizeof(some[0]))
		data := unsafe.Slice((*byte)(unsafe.Pointer(&some[0])), size)
		// The kernel reads all before it writes.
		if _, err := d.translate.Run(&ebpf.RunOptions{Data: data, DataOut: data}); err != nil {
			d.log.Warn("Backends of services are not known: connection tracking cannot be asked", "error", err)
			d.translate.Close()
			d.translate = nil
		}
	}
}
