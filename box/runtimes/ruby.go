package runtimes

import (
	"context"
	"path/filepath"
	"strings"
)

// rubyQuestion makes any Ruby say what it is. What it has loaded stands in its memory
// map.
var rubyQuestion = []string{"--disable-gems", "-e", `
require 'rbconfig'
require 'json'
lacking = []
%w[openssl zlib socket digest psych bigdecimal stringio].each do |name|
  begin
    require 'rubygems' if name == 'bigdecimal'
    require name
  rescue Exception => error
    lacking << "#{name} (#{error.message})"
  end
end
config = RbConfig::CONFIG
shared = File.read('/proc/self/maps').lines.map { |line| line.chomp.split(/\s+/, 6)[5] }
shared = shared.select { |name| name && name.start_with?('/') && name.include?('.so') }.uniq
puts JSON.generate(
  'implementation' => RUBY_ENGINE,
  'version' => RUBY_VERSION,
  'program' => File.realpath(File.join(config['bindir'], config['ruby_install_name'] + config['EXEEXT'])),
  'prefix' => File.realpath(config['prefix']),
  'libraries' => %w[sitelibdir sitearchdir vendorlibdir vendorarchdir rubylibdir rubyarchdir].map { |key| config[key] }.select { |dir| dir && File.directory?(dir) }.map { |dir| File.realpath(dir) },
  'shared' => shared,
  'lacking' => lacking,
  'machine' => { 'aarch64' => 'arm64' }.fetch(config['host_cpu'], config['host_cpu']),
  'flavour' => RUBY_PATCHLEVEL < 0 ? 'preview' : ''
)
`}

// askRuby makes a candidate say what it is. One of another root looks for its library
// where it was built to, which is the host's: it is told where the root has it.
func askRuby(ctx context.Context, p program) (*answer, error) {
	p.env = append(p.env, rubyRoot(p.root)...)
	return asking(rubyQuestion)(ctx, p)
}

// rubyRoot gives the variable that lets a Ruby of another root find its library.
func rubyRoot(root string) []string {
	if root == "" {
		return nil
	}
	var dirs []string
	for _, pattern := range []string{"vendor_ruby", "[0-9]*"} {
		for _, at := range []string{"usr/lib/ruby", "usr/lib/*/ruby"} {
			if matches, err := filepath.Glob(filepath.Join(root, at, pattern)); err == nil {
				dirs = append(dirs, matches...)
			}
		}
	}
	return []string{"RUBYLIB=" + strings.Join(dirs, ":")}
}

// rubyProbe loads in the box what functions expect.
var rubyProbe = []string{"-e", "require 'openssl'; require 'json'; require 'zlib'; require 'socket'; require 'digest'; OpenSSL::SSL::SSLContext.new; Digest::SHA256.digest('')"}

// rubyLibraries gives the arguments that let a Ruby with a prefix of its own find its
// library, which it was built to look for where the box does not show it. That of
// another root is the box's base, and finds it.
func rubyLibraries(i *interpreter) []string {
	if i.sharedPrefix() || i.Root != "" {
		return nil
	}
	var arguments []string
	for _, library := range i.Libraries {
		if rel, err := filepath.Rel(i.Prefix, library); err == nil && filepath.IsLocal(rel) {
			arguments = append(arguments, "-I", filepath.Join(langDir, rel))
		}
	}
	return arguments
}
