package machine

// Command is what the first process is to do.
type Command struct {
	// Do is "start" or "stop".
	Do   string `json:"do"`
	Name string `json:"name"`
	// Path, Args (without the name) and Env are of what to start.
	Path string   `json:"path,omitempty"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
}

// Answer to a command.
type Answer struct {
	Error string `json:"error,omitempty"`
}

// Dirs are the directories that a machine has to itself.
func Dirs() []string { return []string{"run", "var/lib", "var/log"} }
